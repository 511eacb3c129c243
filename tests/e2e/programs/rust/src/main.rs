//! The loggers of Rust, for tests/e2e/test_log_programs.py, which says what each line must become: `logs NAME` writes with
//! tracing-subscriber (json, text, colored) or env_logger, or panics.

use std::io::stderr;

use env_logger::WriteStyle;
use tracing_subscriber::fmt;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("json") => {
            fmt().json().with_max_level(tracing::Level::TRACE).with_writer(stderr).init();
            trace();
        }
        Some("text") => {
            fmt().with_ansi(false).with_max_level(tracing::Level::TRACE).with_writer(stderr).init();
            trace();
        }
        Some("colored") => {
            fmt().with_ansi(true).with_max_level(tracing::Level::TRACE).with_writer(stderr).init();
            trace();
        }
        Some("env_logger") => {
            env_logger::builder().filter_level(log::LevelFilter::Debug).write_style(WriteStyle::Never).init();
            log::warn!("retrying: attempt {}", 3);
            log::debug!(target: "db::pool", "2 idle");
        }
        Some("panic") => charge(&[], 7),
        other => panic!("no such logger: {other:?}"),
    }
}

fn trace() {
    tracing::info!(order = 7_i64, total = 12.5, gift = true, "order placed");
    let span = tracing::info_span!("request", method = "GET", id = 7);
    let _entered = span.enter();
    tracing::error!(error = %"connection refused", "write failed");
    tracing::trace!(target: "db", "2 idle");
}

fn charge(balances: &[i64], account: usize) {
    println!("{}", balances[account]);
}
