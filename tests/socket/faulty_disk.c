/* A disk with faults, between a process and the C library: what the control file FAULTY_DISK says befalls the files whose
 * names end with ".seg" from then on.
 *
 *   fail-sync    fdatasync says EIO, and nothing was synced
 *   fail-write   pwrite says EIO, and nothing was written
 *   lose-writes  pwrite says that all is well, and nothing was written
 *   slow N       fdatasync takes N ms longer
 *
 * Each fdatasync adds a byte to FAULTY_DISK.syncs, each fault one to FAULTY_DISK.faults.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_segment(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t len = readlink(link, path, sizeof path);
    return len > 4 && memcmp(path + len - 4, ".seg", 4) == 0;
}

/* What is said to happen, in `what`. */
static void orders(char *what, size_t room) {
    what[0] = 0;
    const char *path = getenv("FAULTY_DISK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    ssize_t len = read(file, what, room - 1);
    what[len > 0 ? len : 0] = 0;
    close(file);
}

static void count(const char *kind) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", getenv("FAULTY_DISK"), kind);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (write(file, "x", 1) != 1) abort();
    close(file);
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    char what[64];
    if (!is_segment(file)) return real(file);
    orders(what, sizeof what);
    count("syncs");
    if (strcmp(what, "fail-sync") == 0) {
        count("faults");
        errno = EIO;
        return -1;
    }
    if (strncmp(what, "slow ", 5) == 0) {
        long ms = atol(what + 5);
        struct timespec time = {ms / 1000, ms % 1000 * 1000000};
        count("faults");
        nanosleep(&time, NULL);
    }
    return real(file);
}

ssize_t pwrite64(int file, const void *bytes, size_t len, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    char what[64];
    if (!is_segment(file)) return real(file, bytes, len, at);
    orders(what, sizeof what);
    if (strcmp(what, "fail-write") == 0) {
        count("faults");
        errno = EIO;
        return -1;
    }
    if (strcmp(what, "lose-writes") == 0) {
        count("faults");
        return (ssize_t)len;
    }
    return real(file, bytes, len, at);
}
