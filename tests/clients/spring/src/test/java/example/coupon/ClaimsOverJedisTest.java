package example.coupon;

import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.connection.jedis.JedisConnectionFactory;

@SpringBootTest(properties = {"spring.data.redis.client-type=jedis", "spring.kafka.listener.auto-startup=false"})
class ClaimsOverJedisTest extends Claims {
    @Override
    Class<? extends RedisConnectionFactory> carrier() {
        return JedisConnectionFactory.class;
    }
}
