package example.coupon;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A topic as the plain Java consumer reads it: without a group, from where it is told. */
final class Topic implements AutoCloseable {
    private final KafkaConsumer<String, Long> consumer;
    private final List<TopicPartition> partitions;

    Topic(String name) {
        Map<String, Object> settings = Map.of(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Peers.brokers());
        consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer());
        partitions = consumer.partitionsFor(name).stream()
                .map(partition -> new TopicPartition(name, partition.partition()))
                .toList();
        consumer.assign(partitions);
    }

    int partitionCount() {
        return partitions.size();
    }

    /** The offset after the last record of each partition. */
    Map<TopicPartition, Long> ends() {
        return consumer.endOffsets(partitions);
    }

    /** All records from {@code from} to before {@code ends}. */
    List<ConsumerRecord<String, Long>> between(Map<TopicPartition, Long> from, Map<TopicPartition, Long> ends) {
        from.forEach(consumer::seek);
        List<ConsumerRecord<String, Long>> records = new ArrayList<>();
        poll(records, nothing -> partitions.stream().allMatch(at -> consumer.position(at) >= ends.get(at)));
        records.removeIf(record -> record.offset() >= ends.get(new TopicPartition(record.topic(), record.partition())));
        return records;
    }

    /** The records from the beginning until what was read is {@code complete}, each partition in its order. */
    List<ConsumerRecord<String, Long>> fromTheBeginning(Predicate<List<ConsumerRecord<String, Long>>> complete) {
        consumer.seekToBeginning(partitions);
        List<ConsumerRecord<String, Long>> records = new ArrayList<>();
        poll(records, complete);
        return records;
    }

    private void poll(List<ConsumerRecord<String, Long>> into, Predicate<List<ConsumerRecord<String, Long>>> complete) {
        Instant deadline = Instant.now().plus(Peers.PATIENCE);
        while (!complete.test(into)) {
            assertThat(Instant.now()).as("time to read %s; %d records came", partitions, into.size()).isBefore(deadline);
            consumer.poll(Duration.ofMillis(500)).forEach(into::add);
        }
    }

    @Override
    public void close() {
        consumer.close();
    }
}
