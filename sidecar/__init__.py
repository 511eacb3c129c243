"""Outrider's sidecar.

The floors; imports point down only, and packages of one floor never import each other
(`tests/test_floors.py` holds both)::

    5  api  spool_command  launcher  cli              what people and programs talk to
    4  telemetry config monitor parcel lane relay daemon launched   the product: wiring, schedules, delivery
    3  probes  metrics  otlp  export                  one kind per file
    2  io                                             thin hands on the operating system
    1  logic                                          decisions: no await, no open, no clock
    0  model                                          frozen values
"""
