package example.coupon;

import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;

@SpringBootTest(properties = {"spring.data.redis.client-type=lettuce", "spring.kafka.listener.auto-startup=false"})
class ClaimsOverLettuceTest extends Claims {
    @Override
    Class<? extends RedisConnectionFactory> carrier() {
        return LettuceConnectionFactory.class;
    }
}
