package example.coupon;

import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.handler.annotation.Payload;
import org.springframework.stereotype.Component;

/** Stores a coupon for each record, as such a consumer does. */
@Component
public class CouponCreatedConsumer {
    private final CouponRepository coupons;

    public CouponCreatedConsumer(CouponRepository coupons) {
        this.coupons = coupons;
    }

    @KafkaListener(topics = "${TOPIC}", groupId = "group_1")
    public void listener(@Payload Long userId, @Header(KafkaHeaders.RECEIVED_KEY) String campaign) {
        coupons.save(new Coupon(campaign, userId));
    }
}
