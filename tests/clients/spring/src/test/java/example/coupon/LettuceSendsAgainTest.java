package example.coupon;

import static org.assertj.core.api.Assertions.assertThat;

import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisConnectionException;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.CommandOutput;
import io.lettuce.core.output.StatusOutput;
import io.lettuce.core.output.ValueOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Lettuce as it is: when a connection breaks it sends what was not answered again, by itself, and tells nobody. */
class LettuceSendsAgainTest {
    private static final int USERS = 60;

    @Test
    void aClaimWhoseAnswerWasLostIsSentAgainAndGetsNoSecondSeat() {
        String single = Peers.fresh("single");
        String several = Peers.fresh("several");
        RedisClient direct = RedisClient.create("redis://localhost:" + Peers.gatePort());
        RedisClient lossy = RedisClient.create("redis://localhost:" + Peers.lossyPort());
        try {
            RedisCommands<String, String> operator = direct.connect().sync();
            call(operator, new StatusOutput<>(StringCodec.UTF8), "GATE.CREATE", single, "LIMIT", "1000");
            call(operator, new StatusOutput<>(StringCodec.UTF8), "GATE.CREATE", several, "LIMIT", "1000", "PERUSER", "9");

            RedisCommands<String, String> shop = insist(lossy).sync();
            List<String> answers = new ArrayList<>();
            for (int user = 1; user <= USERS; user++) {
                answers.add(claim(shop, single, "" + user, "FLAT"));
                answers.add(claim(shop, several, "" + user, "ID", "cart-1", "FLAT"));
                answers.add(claim(shop, several, "" + user, "ID", "cart-2", "FLAT"));
            }

            assertThat(answers).allMatch(answer -> answer.startsWith("GRANTED ") || answer.startsWith("ALREADY "));
            assertThat(answers).as("some were sent again").anyMatch(answer -> answer.startsWith("ALREADY "));
            int next = USERS + 1;
            assertThat(claim(operator, single, "9999", "FLAT")).startsWith("GRANTED " + next + " ");
            next = 2 * USERS + 1;
            assertThat(claim(operator, several, "9999", "ID", "cart-1", "FLAT")).startsWith("GRANTED " + next + " ");
        } finally {
            lossy.shutdown();
            direct.shutdown();
        }
    }

    @Test
    void aConfirmationAndACancelWhoseAnswersWereLostHappenOnce() {
        String held = Peers.fresh("held");
        RedisClient direct = RedisClient.create("redis://localhost:" + Peers.gatePort());
        RedisClient lossy = RedisClient.create("redis://localhost:" + Peers.lossyPort());
        try {
            RedisCommands<String, String> operator = direct.connect().sync();
            call(operator, new StatusOutput<>(StringCodec.UTF8), "GATE.CREATE", held, "LIMIT", "1000", "HOLD", "600000");

            RedisCommands<String, String> shop = insist(lossy).sync();
            List<String> cancels = new ArrayList<>();
            for (int user = 1; user <= USERS; user++) {
                String seat = claim(shop, held, "" + user, "FLAT").split(" ")[1];
                assertThat(word(shop, "GATE.CONFIRM", held, "" + user, "SEAT", seat, "FLAT"))
                        .startsWith("GRANTED " + seat + " ");
                cancels.add(word(shop, "GATE.CANCEL", held, "" + user, "FLAT"));
                assertThat(claim(shop, held, "" + user, "FLAT")).as("the seat is free again").startsWith("HELD " + seat);
                assertThat(word(shop, "GATE.CONFIRM", held, "" + user, "FLAT")).startsWith("GRANTED " + seat + " ");
            }

            assertThat(cancels).allMatch(answer -> answer.startsWith("CANCELLED ") || answer.startsWith("NONE "));
            assertThat(cancels).as("some were sent again").anyMatch(answer -> answer.startsWith("NONE "));
            assertThat(claim(operator, held, "9999", "FLAT")).as("each user has one seat").startsWith("HELD " + (USERS + 1) + " ");
        } finally {
            lossy.shutdown();
            direct.shutdown();
        }
    }

    /** The answers of a handshake get lost as others do; an application would start anew. */
    private static StatefulRedisConnection<String, String> insist(RedisClient client) {
        while (true) {
            try {
                return client.connect();
            } catch (RedisConnectionException lost) {
                continue;
            }
        }
    }

    private static String claim(RedisCommands<String, String> redis, String... words) {
        return word(redis, "GATE.CLAIM", words);
    }

    private static String word(RedisCommands<String, String> redis, String command, String... words) {
        return call(redis, new ValueOutput<>(StringCodec.UTF8), command, words);
    }

    private static String call(
            RedisCommands<String, String> redis,
            CommandOutput<String, String, String> output,
            String command,
            String... words) {
        CommandArgs<String, String> args = new CommandArgs<>(StringCodec.UTF8);
        for (String word : words) {
            args.add(word);
        }
        return redis.dispatch(new Word(command), output, args);
    }

    private record Word(String text) implements ProtocolKeyword {
        @Override
        public byte[] getBytes() {
            return text.getBytes(StandardCharsets.US_ASCII);
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
