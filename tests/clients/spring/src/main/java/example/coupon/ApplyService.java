package example.coupon;

import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.stereotype.Service;

/** The shape this service has everywhere: count in Redis, let the first hundred through to Kafka. */
@Service
public class ApplyService {
    private final StringRedisTemplate redisTemplate;
    private final KafkaTemplate<String, Long> kafkaTemplate;

    public ApplyService(StringRedisTemplate redisTemplate, KafkaTemplate<String, Long> kafkaTemplate) {
        this.redisTemplate = redisTemplate;
        this.kafkaTemplate = kafkaTemplate;
    }

    public void apply(Long userId) {
        Long count = redisTemplate.opsForValue().increment("coupon_count");
        if (count > 100) {
            return;
        }
        kafkaTemplate.send("coupon_create", userId);
    }
}
