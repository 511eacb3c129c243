"""The central tier: the fleet by heartbeat, its history, the latest traces, and one API that answers for all."""
