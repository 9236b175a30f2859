/* A disk that fails, between SQLite and the kernel. LD_PRELOAD loads it into the bridge.
 *
 * It intercepts the calls on spool.db and spool.db-wal, and applies the faults that the test has written into the file
 * `control` (struct control, mapped by both). It also records which pages are on the disk, which a kernel knows but does
 * not report. `<file>.durable` is the file as it would be after
 * a power cut, `<file>.map` has one byte for each page of 4 KiB:
 *
 *   CLEAN  the disk has what the file shows
 *   DIRTY  written, not synced: the next sync takes it along
 *   LOST   a sync failed. The file still shows it, no later sync will write it, a power cut takes it
 *
 * LOST is what Linux does to pages whose writing failed. Both files outlive the process, as a kernel's
 * cache does. Names of files (a rename, a removal) are on the disk at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 1 << 18, FDS = 1 << 16 };
enum state { CLEAN, DIRTY, LOST };
/* The same numbers stand in faulty_disk.rs. */
enum call { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, READ = 16 };
enum action { NONE, FAIL_EIO, FAIL_ENOSPC, SHORT, TORN, DROP, YET_THERE, HANG, DIE };

struct control {
    volatile uint64_t rule;    /* changes with each rule: ends what hangs */
    volatile uint64_t calls;   /* which calls are meant, a set of enum call; written last */
    volatile uint64_t files;   /* on which files: 1 the database, 2 its log */
    volatile uint64_t skip;    /* so many of them pass first */
    volatile uint64_t times;   /* so many fail then */
    volatile uint64_t action;  /* how */
    volatile uint64_t matched; /* so many have come */
    volatile uint64_t hits;    /* so many have failed */
    volatile uint64_t hanging; /* so many hang */
};

struct file {
    const char *name;
    uint8_t *map;
    int durable;
};

static struct control *control;
static struct file files[] = {{"spool.db", 0, -1}, {"spool.db-wal", 0, -1}};
static uint8_t of_fd[FDS]; /* 0, or 1 + the place in `files` */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int real_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void *mapped(const char *dir, const char *name, const char *suffix, size_t bytes, int *fd) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    *fd = real_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) abort();
    if (bytes == 0) return NULL;
    if (syscall(SYS_ftruncate, *fd, bytes) != 0) abort();
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("FAULTY_DISK");
    int fd;
    if (!dir) return;
    for (int i = 0; i < 2; i++) {
        files[i].map = mapped(dir, files[i].name, ".map", PAGES, &fd);
        mapped(dir, files[i].name, ".durable", 0, &files[i].durable);
    }
    control = mapped(dir, "control", "", PAGE, &fd);
}

static struct file *tracked(int fd) {
    return control && fd >= 0 && fd < FDS && of_fd[fd] ? &files[of_fd[fd] - 1] : NULL;
}

static struct file *named(const char *path) {
    const char *slash = strrchr(path, '/');
    for (int i = 0; control && i < 2; i++)
        if (strcmp(slash ? slash + 1 : path, files[i].name) == 0) return &files[i];
    return NULL;
}

static off_t size_of(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 ? stat.st_size : 0;
}

static size_t pages_of(off_t size) {
    size_t pages = (size_t)(size + PAGE - 1) / PAGE;
    return pages < PAGES ? pages : PAGES;
}

/* What is to be done to this call. With `lock` held. */
static enum action strike(enum call call, const struct file *file) {
    if (!(control->calls & call) || !(control->files & (1u << (file - files)))) return NONE;
    uint64_t nth = control->matched++;
    if (nth < control->skip || nth - control->skip >= control->times) return NONE;
    control->hits++;
    if (control->action == DIE) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (control->action != HANG) return control->action;
    uint64_t rule = control->rule;
    control->hanging++;
    pthread_mutex_unlock(&lock);
    while (control->rule == rule) usleep(500);
    pthread_mutex_lock(&lock);
    control->hanging--;
    return NONE;
}

static int fails(enum action action) {
    errno = action == FAIL_ENOSPC ? ENOSPC : EIO;
    return -1;
}

static void copy_page(int from, int to, size_t page) {
    char bytes[PAGE] = {0};
    ssize_t got = syscall(SYS_pread64, from, bytes, PAGE, (off_t)page * PAGE);
    (void)got; /* behind the end of the other file lie zeros */
    off_t left = size_of(to) - (off_t)page * PAGE;
    size_t length = files[0].durable == to || files[1].durable == to || left > PAGE ? PAGE : (size_t)(left > 0 ? left : 0);
    if (syscall(SYS_pwrite64, to, bytes, length, (off_t)page * PAGE) < 0) abort();
}

static void each_dirty(struct file *file, int fd, enum state becomes, int from, int to) {
    size_t pages = pages_of(size_of(fd));
    for (size_t page = 0; page < pages; page++) {
        if (file->map[page] != DIRTY) continue;
        if (from >= 0) copy_page(from, to, page);
        file->map[page] = becomes;
    }
}

static void synced(struct file *file, int fd) {
    each_dirty(file, fd, CLEAN, fd, file->durable);
    if (syscall(SYS_ftruncate, file->durable, size_of(fd)) != 0) abort();
}

static int sync_file(int fd, long number) {
    struct file *file = tracked(fd);
    if (!file) return (int)syscall(number, fd);
    pthread_mutex_lock(&lock);
    enum action action = strike(SYNC, file);
    int result = 0;
    if (action == DROP) {
        each_dirty(file, fd, CLEAN, file->durable, fd);
    } else if (action == NONE || action == YET_THERE) {
        result = (int)syscall(number, fd);
        if (result == 0) synced(file, fd);
    } else {
        each_dirty(file, fd, LOST, -1, -1);
    }
    if (action != NONE) result = fails(action);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

static ssize_t write_file(int fd, const void *bytes, size_t length, off_t at, int seeks) {
    struct file *file = tracked(fd);
    if (!file) return seeks ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
    pthread_mutex_lock(&lock);
    enum action action = strike(WRITE, file);
    ssize_t result = -1;
    if (action == NONE || action == SHORT || action == TORN) {
        if (action != NONE && length > 1) length /= 2;
        if (seeks) at = lseek(fd, 0, SEEK_CUR);
        /* Before it is written: a kill may come in between. */
        for (off_t page = at / PAGE; length > 0 && page <= (off_t)(at + length - 1) / PAGE && page < PAGES; page++)
            file->map[page] = DIRTY;
        result = seeks ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
    }
    if (action != NONE && action != SHORT) result = fails(action);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_file(fd, bytes, length, 0, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_file(fd, bytes, length, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return write_file(fd, bytes, length, at, 0); }

static ssize_t read_file(int fd, void *bytes, size_t length, off_t at, int seeks) {
    struct file *file = tracked(fd);
    if (file && (control->calls & READ)) {
        pthread_mutex_lock(&lock);
        enum action action = strike(READ, file);
        pthread_mutex_unlock(&lock);
        if (action != NONE) return fails(action);
    }
    return seeks ? syscall(SYS_read, fd, bytes, length) : syscall(SYS_pread64, fd, bytes, length, at);
}

ssize_t read(int fd, void *bytes, size_t length) { return read_file(fd, bytes, length, 0, 1); }
ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return read_file(fd, bytes, length, at, 0); }
ssize_t pread64(int fd, void *bytes, size_t length, off_t at) { return read_file(fd, bytes, length, at, 0); }

static int truncate_file(int fd, off_t size) {
    struct file *file = tracked(fd);
    if (!file) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    enum action action = strike(TRUNCATE, file);
    int result = action == NONE ? (int)syscall(SYS_ftruncate, fd, size) : fails(action);
    if (result == 0) {
        size_t kept = pages_of(size);
        memset(file->map + kept, CLEAN, PAGES - kept);
        /* A file that grows again after a truncation has new blocks: a power cut never brings back old bytes of them. */
        if (size < size_of(file->durable) && syscall(SYS_ftruncate, file->durable, size) != 0) abort();
        if (size % PAGE) file->map[kept - 1] = DIRTY;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t size) { return truncate_file(fd, size); }
int ftruncate64(int fd, off_t size) { return truncate_file(fd, size); }

static int open_file(const char *path, int flags, mode_t mode) {
    struct file *file = named(path);
    if (!file) return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    enum action action = strike(OPEN, file);
    int fd = action == NONE ? real_open(path, flags, mode) : fails(action);
    if (fd >= 0 && fd < FDS) {
        of_fd[fd] = (uint8_t)(1 + (file - files));
        /* Made under another name and never seen before: it was synced before it was renamed. */
        if (size_of(file->durable) == 0 && !memchr(file->map, DIRTY, PAGES) && !memchr(file->map, LOST, PAGES)) {
            memset(file->map, DIRTY, pages_of(size_of(fd)));
            synced(file, fd);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN_AS(name)                                                                                                  \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        return open_file(path, flags, mode);                                                                           \
    }
OPEN_AS(open)
OPEN_AS(open64)

int close(int fd) {
    if (tracked(fd)) of_fd[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

int unlink(const char *path) {
    struct file *file = named(path);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (file && result == 0) {
        pthread_mutex_lock(&lock);
        memset(file->map, CLEAN, PAGES);
        if (syscall(SYS_ftruncate, file->durable, 0) != 0) abort();
        pthread_mutex_unlock(&lock);
    }
    return result;
}
