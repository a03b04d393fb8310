package example.coupon;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.File;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;

/** What the gate granted, as Kafka's readers find it in the topic. */
@SpringBootTest
class GrantsInKafkaTest {
    private static int partitions;
    private static Grants grants;

    @Autowired private CouponRepository coupons;

    @BeforeAll
    static void claim() throws Exception {
        try (Topic topic = new Topic(Peers.topic())) {
            partitions = topic.partitionCount();
        }
        grants = Grants.claim(partitions);
    }

    @Test
    void theListenerReadsEveryGrantOnce() throws Exception {
        List<Coupon> saved = new ArrayList<>();
        Set<Coupon> awaited = new HashSet<>(grants.last());
        Instant deadline = Instant.now().plus(Peers.PATIENCE);
        while (!awaited.isEmpty()) {
            Duration left = Duration.between(Instant.now(), deadline);
            Coupon coupon = coupons.saved().poll(left.toMillis(), TimeUnit.MILLISECONDS);
            assertThat(coupon).as("the next record; %d came, the last of all are %s", saved.size(), awaited).isNotNull();
            awaited.remove(coupon);
            saved.add(coupon);
        }
        assertEachGrantOnce(saved);
    }

    @Test
    void thePlainConsumerReadsEveryGrantOnceWithItsPlace() {
        List<ConsumerRecord<String, Long>> records;
        try (Topic topic = new Topic(Peers.topic())) {
            records = topic.fromTheBeginning(read -> coupons(read).containsAll(grants.last()));
        }
        assertEachGrantOnce(coupons(records));

        Map<Integer, Long> before = new HashMap<>();
        for (ConsumerRecord<String, Long> record : records) {
            assertThat(header(record, "cg-log")).matches("[0-9a-f]{32}");
            long seq = Long.parseLong(header(record, "cg-seq"));
            Long previous = before.put(record.partition(), seq);
            if (previous != null) {
                assertThat(seq).isGreaterThan(previous);
                assertThat(header(record, "cg-prev")).isEqualTo("" + previous);
            }
            assertThat(record.partition()).isEqualTo(Grants.partitionOf(record.key(), partitions));
            assertThat(record.timestamp()).isLessThanOrEqualTo(System.currentTimeMillis());
        }
        for (ConsumerRecord<String, Long> record : records) {
            Long seat = grants.seats().get(coupon(record));
            if (seat != null) {
                assertThat(header(record, "cg-seat")).isEqualTo("" + seat);
            }
        }
    }

    @Test
    void kafkasOwnConsoleConsumerPrintsEveryGrantOnce() throws Exception {
        Process console = new ProcessBuilder(
                        "java", "-Xmx256m", "-cp", Peers.kafkaLibs() + File.separator + "*",
                        "org.apache.kafka.tools.consumer.ConsoleConsumer",
                        "--bootstrap-server", Peers.brokers(),
                        "--topic", Peers.topic(),
                        "--from-beginning",
                        "--formatter-property", "print.key=true",
                        "--value-deserializer", LongDeserializer.class.getName(),
                        "--timeout-ms", "" + Peers.PATIENCE.toMillis())
                .redirectErrorStream(true)
                .start();
        List<String> printed = new ArrayList<>();
        Set<String> awaited = new HashSet<>(lines(grants.last()));
        try (BufferedReader lines = console.inputReader(UTF_8)) {
            while (!awaited.isEmpty()) {
                String line = lines.readLine();
                assertThat(line).as("the next line, after\n%s", String.join("\n", printed)).isNotNull();
                awaited.remove(line);
                printed.add(line);
            }
        } finally {
            console.destroy();
            console.waitFor();
        }
        Set<String> campaigns = grants.campaigns();
        assertThat(printed)
                .filteredOn(line -> campaigns.contains(line.split("\t")[0]))
                .containsExactlyInAnyOrderElementsOf(lines(grants.seats().keySet()));
    }

    /** Whatever else is in {@code coupons}, of other campaigns. */
    private static void assertEachGrantOnce(List<Coupon> coupons) {
        Set<String> campaigns = grants.campaigns();
        assertThat(coupons)
                .filteredOn(coupon -> campaigns.contains(coupon.campaign()))
                .containsExactlyInAnyOrderElementsOf(grants.seats().keySet());
    }

    private static List<String> lines(Set<Coupon> coupons) {
        return coupons.stream().map(coupon -> coupon.campaign() + "\t" + coupon.userId()).toList();
    }

    private static List<Coupon> coupons(List<ConsumerRecord<String, Long>> records) {
        return records.stream().map(GrantsInKafkaTest::coupon).toList();
    }

    private static Coupon coupon(ConsumerRecord<String, Long> record) {
        return new Coupon(record.key(), record.value());
    }

    private static String header(ConsumerRecord<String, Long> record, String name) {
        Header header = record.headers().lastHeader(name);
        assertThat(header).as("%s of %s", name, record).isNotNull();
        return new String(header.value(), UTF_8);
    }
}
