package example.coupon;

import java.time.Duration;

/** Where the running gate and Kafka are: environment variables, or system properties of the same names. */
final class Peers {
    /** How long an event is waited for before it counts as missing. */
    static final Duration PATIENCE = Duration.ofSeconds(30);

    /** The port of the gate, without a password. */
    static int gatePort() {
        return Integer.parseInt(need("GATE_PORT"));
    }

    /** A port that leads to the gate, by a way on which answers get lost together with their connections. */
    static int lossyPort() {
        return Integer.parseInt(need("LOSSY_PORT"));
    }

    /** The brokers, as for any Kafka client. */
    static String brokers() {
        return need("KAFKA_BOOTSTRAP");
    }

    /** The topic that the gate streams to. Not the one that the service itself sends to. */
    static String topic() {
        String topic = need("TOPIC");
        if (topic.equals("coupon_create")) {
            throw new IllegalArgumentException("TOPIC is coupon_create, which the service sends to; the gate needs its own");
        }
        return topic;
    }

    /** The folder of Kafka's own jars. */
    static String kafkaLibs() {
        return need("KAFKA_LIBS");
    }

    /** A name that no other run has used. */
    static String fresh(String name) {
        return name + "-" + Long.toString(System.currentTimeMillis(), 36) + "-" + ProcessHandle.current().pid();
    }

    private static String need(String name) {
        String value = System.getProperty(name, System.getenv(name));
        if (value == null || value.isBlank()) {
            throw new IllegalArgumentException(name + " is not set: the tests need a running gate and Kafka, see the README");
        }
        return value;
    }

    private Peers() {}
}
