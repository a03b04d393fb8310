package example.coupon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.core.RedisCallback;
import org.springframework.data.redis.core.StringRedisTemplate;

/** Claims through Spring Data Redis, whichever client library carries them. */
abstract class Claims {
    private static final int COUPONS = 100;

    @Autowired private StringRedisTemplate template;

    /** What carries the commands. */
    abstract Class<? extends RedisConnectionFactory> carrier();

    @Test
    void threeHundredUsersGetAHundredCoupons() throws Exception {
        assertThat(template.getConnectionFactory()).isInstanceOf(carrier());
        String campaign = Peers.fresh("spring");
        assertThat(call("GATE.CREATE", campaign, "LIMIT", "" + COUPONS)).isEqualTo("CREATED");

        List<Long> users = LongStream.rangeClosed(1, 300).boxed().toList();
        List<String> answers = Crowd.ask(20, users, user -> claim(campaign, user));

        List<String> granted = answers.stream().filter(answer -> answer.startsWith("GRANTED")).toList();
        String[] everySeatOnce = LongStream.rangeClosed(1, COUPONS)
                .mapToObj(seat -> "GRANTED " + seat + " " + (COUPONS - seat))
                .toArray(String[]::new);
        assertThat(granted).containsExactlyInAnyOrder(everySeatOnce);
        assertThat(answers).filteredOn(answer -> !answer.startsWith("GRANTED")).hasSize(200).containsOnly("SOLDOUT 0 0");

        for (int at = 0; at < users.size(); at++) {
            String again = answers.get(at).replaceFirst("GRANTED (\\d+) \\d+", "ALREADY $1 0");
            assertThat(claim(campaign, users.get(at))).isEqualTo(again);
        }
    }

    @Test
    void anUnknownCampaignIsAnErrorThatNamesIt() {
        assertThatThrownBy(() -> claim("nobody-made-this", 1))
                .rootCause()
                .hasMessageStartingWith("NOCAMPAIGN");
    }

    private String claim(String campaign, long user) {
        return call("GATE.CLAIM", campaign, "" + user, "FLAT");
    }

    private String call(String command, String... arguments) {
        byte[][] bytes = Stream.of(arguments).map(word -> word.getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
        Object answer = template.execute((RedisCallback<Object>) connection -> connection.execute(command, bytes));
        return new String((byte[]) answer, StandardCharsets.UTF_8);
    }
}
