package example.coupon;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.stereotype.Repository;

/** Stands where the database would: keeps what is saved in its order, so that nothing saved twice is hidden. */
@Repository
public class CouponRepository {
    private final BlockingQueue<Coupon> saved = new LinkedBlockingQueue<>();

    public void save(Coupon coupon) {
        saved.add(coupon);
    }

    BlockingQueue<Coupon> saved() {
        return saved;
    }
}
