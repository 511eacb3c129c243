import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import java.util.Map;
import java.util.logging.Level;
import net.logstash.logback.encoder.LogstashEncoder;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/**
 * The loggers of Java, for tests/e2e/test_log_programs.py, which says what each line must become: `Logs NAME` writes with logback
 * (its default pattern), logstash (logback's JSON), or jul (java.util.logging), or dies of an exception (thrown, printed).
 */
public final class Logs {
  private static final Map<String, Runnable> LOGS = Map.of(
      "logback", Logs::withLogback,
      "logstash", Logs::withLogstash,
      "jul", Logs::withJul,
      "printed", Logs::printed,
      "thrown", () -> charge(7));

  public static void main(String[] args) {
    LOGS.get(args[0]).run();
  }

  private static void withLogback() {
    var logger = LoggerFactory.getLogger("com.example.orders.OrderService");
    logger.info("order placed");
    logger.atWarn().addKeyValue("attempt", 3).log("retrying");
    logger.error("write failed", failed());
  }

  private static void withLogstash() {
    var context = (LoggerContext) LoggerFactory.getILoggerFactory();
    var encoder = new LogstashEncoder();
    encoder.setContext(context);
    encoder.start();
    var appender = new ConsoleAppender<ILoggingEvent>();
    appender.setContext(context);
    appender.setEncoder(encoder);
    appender.start();
    var root = context.getLogger("ROOT");
    root.detachAndStopAllAppenders();
    root.addAppender(appender);
    MDC.put("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736");
    MDC.put("span_id", "00f067aa0ba902b7");
    LoggerFactory.getLogger("orders").atInfo().addKeyValue("order", 7).log("order placed");
    LoggerFactory.getLogger("orders").error("write failed", failed());
  }

  private static void withJul() {
    var logger = java.util.logging.Logger.getLogger("orders");
    logger.info("order placed");
    logger.log(Level.SEVERE, "write failed", failed());
  }

  private static void printed() {
    System.out.println("listening on :8080");
    failed().printStackTrace();
    System.out.println("[WARN] going on");
  }

  private static Exception failed() {
    try {
      charge(7);
      return null;
    } catch (IllegalStateException cause) {
      return new RuntimeException("write failed", cause);
    }
  }

  private static void charge(int account) {
    throw new IllegalStateException("account " + account + " is empty");
  }
}
