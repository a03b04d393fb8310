package example.coupon;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongFunction;

/** Many users at once. */
final class Crowd {
    /** Calls {@code each} for all of {@code users} on {@code threads} threads; what was answered, in the order of the users. */
    static <T> List<T> ask(int threads, List<Long> users, LongFunction<T> each) throws Exception {
        List<Callable<T>> calls = new ArrayList<>();
        for (long user : users) {
            calls.add(() -> each.apply(user));
        }
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<T> answers = new ArrayList<>();
            for (Future<T> answer : pool.invokeAll(calls)) {
                answers.add(answer.get());
            }
            return answers;
        } finally {
            pool.shutdownNow();
        }
    }

    private Crowd() {}
}
