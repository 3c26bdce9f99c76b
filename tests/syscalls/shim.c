/*
 * Stands between a process and its C library, where strace is not to be had: writes down each call that touches a
 * file below one folder, and fails or kills at the one that it was told to. Preloaded by shim.py, which compiles it.
 *
 * Idle until `shim_arm`. On request it delays the making of LevelDB's tables, as a slow disk would. One line a call, in the order in which the calls took effect (one lock is held meanwhile):
 *     thread TAB call TAB path TAB target TAB descriptor TAB result or -errno TAB offset TAB flags TAB data in hex
 * Data of writes are written down only when `shim_arm` asks for them. What stdio does inside the library is not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 4096
enum { NOTHING, FAIL, KILL_BEFORE, KILL_AFTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char paths[DESCRIPTORS][512]; /* below the folder, "" for all other descriptors */
static char root[512];
static int armed, out = -1, with_data, slow_us;
static int fault, fault_errno, fault_nth;
static char fault_call[32], fault_path[512];

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

/* Begin: calls below `folder` go to the file `record`; the nth call of that name on that path meets the fault. */
void shim_arm(const char *folder, const char *record, int data, int slow_ms, int kind, int error, const char *call,
              const char *path, int nth) {
    slow_us = slow_ms * 1000;
    snprintf(root, sizeof root, "%s", folder);
    snprintf(fault_call, sizeof fault_call, "%s", call);
    snprintf(fault_path, sizeof fault_path, "%s", path);
    fault = kind, fault_errno = error, fault_nth = nth, with_data = data;
    out = (int)syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) abort();
    for (int fd = 0; fd < DESCRIPTORS; fd++) { /* what is open already */
        char name[64], target[1024];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        paths[fd][0] = 0;
        if (length <= 0) continue;
        target[length] = 0;
        size_t own = strlen(root);
        if (!strncmp(target, root, own) && (target[own] == '/' || !target[own]))
            snprintf(paths[fd], sizeof paths[fd], "%s", target[own] ? target + own + 1 : ".");
    }
    armed = 1;
}

static const char *below(const char *path) {
    size_t own = strlen(root);
    if (!armed || !path || strncmp(path, root, own) || (path[own] != '/' && path[own])) return NULL;
    path += own;
    while (*path == '/') path++;
    return *path ? path : ".";
}

static const char *of(int fd) { return armed && fd >= 0 && fd < DESCRIPTORS && paths[fd][0] ? paths[fd] : NULL; }

static void put(const char *text, size_t length) {
    while (length) {
        ssize_t done = syscall(SYS_write, out, text, length);
        if (done <= 0) abort();
        text += done, length -= (size_t)done;
    }
}

struct call {
    const char *name, *path, *target, *flags;
    const struct iovec *data;
    int pieces, fd;
    long long offset;
};

static void say(const struct call *c, long long result) {
    char line[2048];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\t%d\t%lld\t%lld\t%s\t", (long)syscall(SYS_gettid), c->name,
                          c->path, c->target ? c->target : "", c->fd, result, c->offset, c->flags ? c->flags : "");
    put(line, (size_t)length);
    for (int i = 0; with_data && i < c->pieces; i++) {
        const unsigned char *bytes = c->data[i].iov_base;
        char *hex = malloc(2 * c->data[i].iov_len + 1);
        for (size_t at = 0; at < c->data[i].iov_len; at++) snprintf(hex + 2 * at, 3, "%02x", bytes[at]);
        put(hex, 2 * c->data[i].iov_len);
        free(hex);
    }
    put("\n", 1);
}

/* Take the lock and see whether this call meets the fault; true when it shall fail. */
static int enter(const struct call *c) {
    pthread_mutex_lock(&lock);
    int struck = fault && !strcmp(c->name, fault_call) && !strcmp(c->path, fault_path) && --fault_nth == 0;
    if (struck && fault == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (struck && fault == FAIL) {
        say(c, -fault_errno);
        return 1;
    }
    if (struck) fault = KILL_AFTER + 1; /* leave() kills */
    return 0;
}

static void leave(const struct call *c, long long result) {
    int error = errno;
    say(c, result < 0 ? -error : result);
    if (fault == KILL_AFTER + 1) kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&lock);
    errno = error;
}

#define THROUGH(type, c, expression)               \
    do {                                           \
        if (enter(&(c))) {                         \
            pthread_mutex_unlock(&lock);           \
            errno = fault_errno;                   \
            return (type)-1;                       \
        }                                          \
        type result = (expression);                \
        leave(&(c), (long long)(long)result);      \
        return result;                             \
    } while (0)

static int do_open(const char *symbol, const char *path, int flags, mode_t mode) {
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))real(symbol);
    const char *name = below(path);
    if (!name) return next(path, flags, mode);
    char text[64];
    snprintf(text, sizeof text, "%s%s%s%s", flags & O_CREAT ? "O_CREAT|" : "", flags & O_EXCL ? "O_EXCL|" : "",
             flags & O_TRUNC ? "O_TRUNC|" : "", flags & O_APPEND ? "O_APPEND|" : "");
    struct call c = {.name = "openat", .path = name, .flags = text};
    const char *end = strrchr(name, '.');
    if (slow_us && flags & O_CREAT && end && !strcmp(end, ".ldb")) usleep((useconds_t)slow_us); /* a table begins */
    if (enter(&c)) {
        pthread_mutex_unlock(&lock);
        errno = fault_errno;
        return -1;
    }
    int fd = next(path, flags, mode);
    c.fd = fd;
    if (fd >= 0 && fd < DESCRIPTORS) snprintf(paths[fd], sizeof paths[fd], "%s", name);
    leave(&c, fd);
    return fd;
}

static mode_t mode_of(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

#define OPEN(symbol)                                   \
    int symbol(const char *path, int flags, ...) {     \
        va_list more;                                  \
        va_start(more, flags);                         \
        mode_t mode = mode_of(flags, more);            \
        va_end(more);                                  \
        return do_open(#symbol, path, flags, mode);    \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(symbol)                                                                              \
    int symbol(int folder, const char *path, int flags, ...) {                                      \
        va_list more;                                                                               \
        va_start(more, flags);                                                                      \
        mode_t mode = mode_of(flags, more);                                                         \
        va_end(more);                                                                               \
        if (below(path)) return do_open("open64", path, flags, mode); /* absolute: folder is idle */ \
        return ((int (*)(int, const char *, int, ...))real(#symbol))(folder, path, flags, mode);    \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    const char *path = of(fd);
    if (!path) return REAL(close)(fd);
    char name[512];
    snprintf(name, sizeof name, "%s", path);
    struct call c = {.name = "close", .path = name, .fd = fd};
    int fails = enter(&c); /* a close that fails has closed all the same, as Linux does */
    int result = REAL(close)(fd);
    paths[fd][0] = 0;
    if (!fails) {
        leave(&c, result);
        return result;
    }
    pthread_mutex_unlock(&lock);
    errno = fault_errno;
    return -1;
}

ssize_t read(int fd, void *buffer, size_t size) {
    struct call c = {.name = "read", .path = of(fd), .fd = fd};
    if (!c.path) return REAL(read)(fd, buffer, size);
    THROUGH(ssize_t, c, REAL(read)(fd, buffer, size));
}

#define PREAD(symbol)                                                            \
    ssize_t symbol(int fd, void *buffer, size_t size, off_t offset) {            \
        struct call c = {.name = "pread64", .path = of(fd), .fd = fd};           \
        if (!c.path) return REAL(symbol)(fd, buffer, size, offset);              \
        THROUGH(ssize_t, c, REAL(symbol)(fd, buffer, size, offset));             \
    }
PREAD(pread)
PREAD(pread64)

ssize_t write(int fd, const void *bytes, size_t size) {
    struct iovec data = {(void *)bytes, size};
    struct call c = {.name = "write", .path = of(fd), .fd = fd, .offset = -1, .data = &data, .pieces = 1};
    if (!c.path) return REAL(write)(fd, bytes, size);
    THROUGH(ssize_t, c, REAL(write)(fd, bytes, size));
}

ssize_t writev(int fd, const struct iovec *data, int pieces) {
    struct call c = {.name = "writev", .path = of(fd), .fd = fd, .offset = -1, .data = data, .pieces = pieces};
    if (!c.path) return REAL(writev)(fd, data, pieces);
    THROUGH(ssize_t, c, REAL(writev)(fd, data, pieces));
}

#define PWRITE(symbol)                                                                                         \
    ssize_t symbol(int fd, const void *bytes, size_t size, off_t offset) {                                     \
        struct iovec data = {(void *)bytes, size};                                                             \
        struct call c = {.name = "pwrite64", .path = of(fd), .fd = fd, .offset = offset, .data = &data, .pieces = 1}; \
        if (!c.path) return REAL(symbol)(fd, bytes, size, offset);                                             \
        THROUGH(ssize_t, c, REAL(symbol)(fd, bytes, size, offset));                                            \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define ON_DESCRIPTOR(symbol, parameters, arguments, ...)                             \
    int symbol parameters {                                                           \
        struct call c = {.name = #symbol, .path = of(fd), .fd = fd, __VA_ARGS__};     \
        if (!c.path) return REAL(symbol) arguments;                                   \
        THROUGH(int, c, REAL(symbol) arguments);                                      \
    }
ON_DESCRIPTOR(fsync, (int fd), (fd))
ON_DESCRIPTOR(fdatasync, (int fd), (fd))
ON_DESCRIPTOR(flock, (int fd, int operation), (fd, operation))

#define TRUNCATE(symbol)                                                                            \
    int symbol(int fd, off_t size) {                                                                \
        struct call c = {.name = "ftruncate", .path = of(fd), .fd = fd, .offset = size};            \
        if (!c.path) return REAL(symbol)(fd, size);                                                 \
        THROUGH(int, c, REAL(symbol)(fd, size));                                                    \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define FCNTL(symbol)                                                                       \
    int symbol(int fd, int command, ...) {                                                  \
        va_list more;                                                                       \
        va_start(more, command);                                                            \
        void *argument = va_arg(more, void *);                                              \
        va_end(more);                                                                       \
        struct call c = {.name = "fcntl", .path = of(fd), .fd = fd};                        \
        int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;        \
        if (!c.path || !locks) return REAL(symbol)(fd, command, argument);                  \
        THROUGH(int, c, REAL(symbol)(fd, command, argument));                               \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

#define MMAP(symbol)                                                                                \
    void *symbol(void *at, size_t size, int protection, int flags, int fd, off_t offset) {          \
        struct call c = {.name = "mmap", .path = flags & MAP_ANONYMOUS ? NULL : of(fd), .fd = fd};  \
        if (!c.path) return REAL(symbol)(at, size, protection, flags, fd, offset);                  \
        THROUGH(void *, c, REAL(symbol)(at, size, protection, flags, fd, offset));                  \
    }
MMAP(mmap)
MMAP(mmap64)

int rename(const char *old, const char *new) {
    struct call c = {.name = "rename", .path = below(old), .target = below(new)};
    if (!c.path || !c.target) return REAL(rename)(old, new);
    THROUGH(int, c, REAL(rename)(old, new));
}

int link(const char *old, const char *new) {
    struct call c = {.name = "link", .path = below(old), .target = below(new)};
    if (!c.path || !c.target) return REAL(link)(old, new);
    THROUGH(int, c, REAL(link)(old, new));
}

int unlink(const char *path) {
    struct call c = {.name = "unlink", .path = below(path)};
    if (!c.path) return REAL(unlink)(path);
    THROUGH(int, c, REAL(unlink)(path));
}

int mkdir(const char *path, mode_t mode) {
    struct call c = {.name = "mkdir", .path = below(path)};
    if (!c.path) return REAL(mkdir)(path, mode);
    THROUGH(int, c, REAL(mkdir)(path, mode));
}
