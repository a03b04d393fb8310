package example.coupon;

/** One coupon of a campaign for one user. */
public record Coupon(String campaign, long userId) {}
