package example.coupon;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** A shop's coupon service as it is written for Redis and Kafka. Nothing in it knows the gate. */
@SpringBootApplication
public class CouponApplication {
    public static void main(String[] arguments) {
        SpringApplication.run(CouponApplication.class, arguments);
    }
}
