// The logger of Node, for tests/e2e/test_log_programs.py, which says what each line must become: `node logs.js NAME` writes with
// pino, or with console and dies of an error (throw).
"use strict";
const pino = require("pino");

const trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
const span_id = "00f067aa0ba902b7";

class PaymentError extends Error {}

function charge(account) {
  throw new PaymentError(`account ${account} is empty`);
}

const logs = {
  pino() {
    const logger = pino({ base: { service: "checkout" } }, pino.destination({ sync: true }));
    logger.info({ order: 7, total: 12.5, gift: true, items: ["a", "b"], trace_id, span_id }, "order placed");
    logger.child({ component: "db" }).error({ err: new PaymentError("connection refused") }, "write failed");
    logger.fatal("gone");
  },
  throw() {
    console.log("listening on :8080");
    console.warn("WARN low on %s", "memory");
    charge(7);
  },
};

logs[process.argv[2]]();
