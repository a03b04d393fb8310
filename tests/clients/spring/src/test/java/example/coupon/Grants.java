package example.coupon;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.common.utils.Utils;
import redis.clients.jedis.JedisPooled;

/**
 * What the gate granted, by its own answers: some campaigns that sold out, and after them one last grant for each
 * partition. A reader that has met every last one has been handed all that the gate put before them.
 */
record Grants(Map<Coupon, Long> seats, Set<Coupon> last) {
    private static final int CAMPAIGNS = 5;
    private static final int COUPONS = 200;

    /** Claims, for a topic that has so many partitions. */
    static Grants claim(int partitions) throws Exception {
        Grants grants = new Grants(new HashMap<>(), new HashSet<>());
        try (JedisPooled gate = new JedisPooled("127.0.0.1", Peers.gatePort())) {
            for (int campaign = 0; campaign < CAMPAIGNS; campaign++) {
                grants.sellOut(gate, Peers.fresh("campaign" + campaign));
            }
            for (int partition = 0; partition < partitions; partition++) {
                grants.claimLast(gate, partition, partitions);
            }
        }
        return grants;
    }

    /** The names of the campaigns. */
    Set<String> campaigns() {
        return seats.keySet().stream().map(Coupon::campaign).collect(Collectors.toSet());
    }

    /** The partition that Java's producer gives a record with this key. */
    static int partitionOf(String key, int partitions) {
        return Utils.toPositive(Utils.murmur2(key.getBytes(StandardCharsets.UTF_8))) % partitions;
    }

    /** Half as many users again as there are coupons, with the ends of the range among them. */
    private void sellOut(JedisPooled gate, String campaign) throws Exception {
        create(gate, campaign, COUPONS);
        LongStream extremes = LongStream.of(Long.MIN_VALUE, -1, 0, Long.MAX_VALUE);
        List<Long> users = LongStream.concat(extremes, LongStream.rangeClosed(5, COUPONS * 3 / 2)).boxed().toList();
        List<String> answers = Crowd.ask(20, users, user -> claim(gate, campaign, user));
        for (int at = 0; at < users.size(); at++) {
            note(campaign, users.get(at), answers.get(at));
        }
        assertThat(seats.keySet()).filteredOn(coupon -> coupon.campaign().equals(campaign)).hasSize(COUPONS);
    }

    private void claimLast(JedisPooled gate, int partition, int partitions) {
        String run = Peers.fresh("last");
        String campaign = IntStream.iterate(0, at -> at + 1)
                .mapToObj(at -> run + "-" + at)
                .filter(name -> partitionOf(name, partitions) == partition)
                .findFirst()
                .orElseThrow();
        create(gate, campaign, 1);
        note(campaign, 1, claim(gate, campaign, 1));
        last.add(new Coupon(campaign, 1));
    }

    private void note(String campaign, long user, String answer) {
        String[] words = answer.split(" ");
        if (words[0].equals("GRANTED")) {
            seats.put(new Coupon(campaign, user), Long.valueOf(words[1]));
        } else {
            assertThat(answer).isEqualTo("SOLDOUT 0 0");
        }
    }

    private static void create(JedisPooled gate, String campaign, int coupons) {
        assertThat(call(gate, "GATE.CREATE", campaign, "LIMIT", "" + coupons)).isEqualTo("CREATED");
    }

    private static String claim(JedisPooled gate, String campaign, long user) {
        return call(gate, "GATE.CLAIM", campaign, "" + user, "FLAT");
    }

    private static String call(JedisPooled gate, String command, String... arguments) {
        Object answer = gate.sendCommand(() -> command.getBytes(StandardCharsets.UTF_8), arguments);
        return new String((byte[]) answer, StandardCharsets.UTF_8);
    }
}
