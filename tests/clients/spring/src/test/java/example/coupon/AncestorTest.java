package example.coupon;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.kafka.core.KafkaTemplate;

/** The service as it was written for Redis, its code unchanged, with the gate in Redis's place. */
@SpringBootTest(properties = {"spring.data.redis.client-type=lettuce", "spring.kafka.listener.auto-startup=false"})
class AncestorTest {
    private static final int USERS = 1000;

    @Autowired private ApplyService applyService;
    @Autowired private StringRedisTemplate redisTemplate;
    @Autowired private KafkaTemplate<String, Long> kafkaTemplate;

    @Test
    void aThousandUsersAtOnceLeaveAHundredRecords() throws Exception {
        redisTemplate.delete("coupon_count");
        try (Topic topic = new Topic("coupon_create")) {
            Map<TopicPartition, Long> before = topic.ends();

            List<Long> users = LongStream.rangeClosed(1, USERS).boxed().toList();
            Crowd.ask(USERS, users, user -> {
                applyService.apply(user);
                return user;
            });
            kafkaTemplate.flush();

            List<Long> winners = topic.between(before, topic.ends()).stream().map(record -> record.value()).toList();
            assertThat(winners).hasSize(100).doesNotHaveDuplicates().isSubsetOf(users);
            assertThat(redisTemplate.opsForValue().get("coupon_count")).isEqualTo("" + USERS);
        }
    }
}
