/*
 * Makes calls of the C library fail, for tests/scripts/faults.py.
 *
 *     cc -O1 -shared -fPIC -o fault_shim.so fault_shim.c
 *     LD_PRELOAD=./fault_shim.so FAULT_PATH=/lake FAULT_CALLS=write,sync FAULT_ERROR=EIO FAULT_AT=7 \
 *         FAULT_REPORT=report program
 *
 * FAULT_PATH    calls on this file or folder, and on what is below it, count; absolute, and without links
 * FAULT_CALLS   which calls count: open, create (open with O_CREAT), read, write, sync, link (also rename),
 *               unlink, mkdir, list, stat; several with commas
 * FAULT_ERROR   what becomes of the call that is struck: EIO, ENOSPC, EDQUOT, EACCES, EINTR: it is not made, and
 *               fails; short: it is made with half the bytes; lost: it is made, and fails all the same
 * FAULT_AT      the number of the call that is struck, from 1; without it calls are only counted
 * FAULT_LASTS   when set, every later one is struck too
 * FAULT_REPORT  a file of REPORT_BYTES: the numbers of calls counted and struck, as 64-bit integers, and after
 *               them name and path of the first call struck, as text that ends with a zero byte
 *
 * The report is memory shared with the file, so it is right however the program ends. Not seen: what the C library
 * calls within itself, direct system calls, and mapped memory. Calls are numbered through all threads, so which one
 * is the n-th can differ between runs; the report says which one it was.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REPORT_BYTES = 8192 };

enum call { OPEN, CREATE, READ, WRITE, SYNC, LINK, UNLINK, MKDIR, LIST, STAT, CALLS };

static const char *const CALL_NAMES[CALLS] = {
    "open", "create", "read", "write", "sync", "link", "unlink", "mkdir", "list", "stat",
};

/* What is to become of a call. */
enum fate { GO_ON, FAIL, SHORTEN, LOSE_ANSWER };

struct report {
    uint64_t counted;
    uint64_t struck;
    char first[REPORT_BYTES - 2 * sizeof(uint64_t)];
};

static struct {
    const char *path; /* NULL until all is read, and when nothing is to be done */
    size_t path_length;
    int calls[CALLS];
    enum fate fate;
    int error;
    uint64_t at; /* 0: only count */
    int lasts;
    struct report *report;
} fault;

/* The function of the same name behind ours. Two threads may both look for it, and find the same. */
#define NEXT(name)                                                      \
    ({                                                                  \
        static __typeof__(&name) next;                                  \
        if (next == NULL)                                               \
            next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);          \
        next;                                                           \
    })

static _Noreturn void refuse(const char *what, const char *value) {
    fprintf(stderr, "fault_shim: %s: %s\n", what, value == NULL ? "missing" : value);
    abort();
}

static void read_calls(const char *names) {
    if (names == NULL)
        refuse("FAULT_CALLS", names);
    while (*names != '\0') {
        size_t length = strcspn(names, ",");
        int call = 0;
        while (call < CALLS &&
               (strlen(CALL_NAMES[call]) != length || strncmp(CALL_NAMES[call], names, length) != 0))
            call++;
        if (call == CALLS)
            refuse("FAULT_CALLS", names);
        fault.calls[call] = 1;
        names += length + (names[length] == ',');
    }
}

static void read_error(const char *name) {
    static const struct {
        const char *name;
        enum fate fate;
        int error;
    } ERRORS[] = {
        {"EIO", FAIL, EIO},       {"ENOSPC", FAIL, ENOSPC}, {"EDQUOT", FAIL, EDQUOT},     {"EACCES", FAIL, EACCES},
        {"EINTR", FAIL, EINTR},   {"short", SHORTEN, 0},    {"lost", LOSE_ANSWER, EIO},
    };
    for (size_t i = 0; name != NULL && i < sizeof ERRORS / sizeof ERRORS[0]; i++)
        if (strcmp(ERRORS[i].name, name) == 0) {
            fault.fate = ERRORS[i].fate;
            fault.error = ERRORS[i].error;
            return;
        }
    refuse("FAULT_ERROR", name);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_PATH");
    if (path == NULL)
        return;
    read_calls(getenv("FAULT_CALLS"));
    const char *at = getenv("FAULT_AT");
    if (at != NULL) {
        fault.at = strtoull(at, NULL, 10);
        read_error(getenv("FAULT_ERROR"));
    }
    fault.lasts = getenv("FAULT_LASTS") != NULL;
    const char *file = getenv("FAULT_REPORT");
    int report = file == NULL ? -1 : NEXT(open)(file, O_RDWR | O_CLOEXEC);
    struct stat about;
    if (report < 0 || NEXT(fstat)(report, &about) != 0 || about.st_size != REPORT_BYTES)
        refuse("FAULT_REPORT", file);
    fault.report = mmap(NULL, REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, report, 0);
    if (fault.report == MAP_FAILED)
        refuse("FAULT_REPORT", file);
    close(report);
    fault.path_length = strlen(path);
    fault.path = path;
}

/* Counts a call on a path and says what is to become of it; sets errno for those that fail. */
static enum fate meet_path(enum call call, const char *path, const char *name) {
    if (fault.path == NULL || !fault.calls[call] || strncmp(path, fault.path, fault.path_length) != 0)
        return GO_ON;
    char after = path[fault.path_length];
    if (after != '\0' && after != '/')
        return GO_ON;
    uint64_t number = __atomic_add_fetch(&fault.report->counted, 1, __ATOMIC_SEQ_CST);
    if (fault.at == 0 || number < fault.at || (number > fault.at && !fault.lasts))
        return GO_ON;
    if (__atomic_add_fetch(&fault.report->struck, 1, __ATOMIC_SEQ_CST) == 1)
        snprintf(fault.report->first, sizeof fault.report->first, "%s %s", name, path);
    errno = fault.error;
    return fault.fate;
}

/* The same for an open file: its path is asked of the kernel, so no table of descriptors can be out of date. */
static enum fate meet_file(enum call call, int file, const char *name) {
    if (fault.path == NULL || !fault.calls[call])
        return GO_ON;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int before = errno;
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return GO_ON;
    path[length] = '\0';
    return meet_path(call, path, name);
}

/* The same for a path below an open folder; an empty one means the folder itself. */
static enum fate meet_at(enum call call, int folder, const char *below, const char *name) {
    if (fault.path == NULL || !fault.calls[call] || below == NULL)
        return GO_ON;
    if (below[0] == '/')
        return meet_path(call, below, name);
    if (below[0] == '\0')
        return meet_file(call, folder, name);
    char link[64], path[2 * PATH_MAX];
    if (folder == AT_FDCWD)
        strcpy(link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    int before = errno;
    ssize_t length = readlink(link, path, PATH_MAX);
    errno = before;
    if (length < 0)
        return GO_ON;
    snprintf(path + length, sizeof path - (size_t)length, "/%s", below);
    return meet_path(call, path, name);
}

/* Gives back what the real call gives, unless the fault says otherwise. */
#define ANSWER(fate, real, failed)                                      \
    do {                                                                \
        switch (fate) {                                                 \
        case FAIL:                                                      \
            return failed;                                              \
        case LOSE_ANSWER:                                               \
            (void)(real);                                               \
            errno = fault.error;                                        \
            return failed;                                              \
        case GO_ON:                                                     \
        case SHORTEN:                                                   \
            break;                                                      \
        }                                                               \
        return real;                                                    \
    } while (0)

static mode_t mode_of(int flags, va_list rest) {
    int creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return creates ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name)                                                                         \
    int name(const char *path, int flags, ...) {                                            \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = mode_of(flags, rest);                                                 \
        va_end(rest);                                                                       \
        enum fate fate = meet_at(flags & O_CREAT ? CREATE : OPEN, AT_FDCWD, path, #name);   \
        ANSWER(fate, NEXT(name)(path, flags, mode), -1);                                    \
    }

#define OPENS_AT(name)                                                                      \
    int name(int folder, const char *path, int flags, ...) {                                \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = mode_of(flags, rest);                                                 \
        va_end(rest);                                                                       \
        enum fate fate = meet_at(flags & O_CREAT ? CREATE : OPEN, folder, path, #name);     \
        ANSWER(fate, NEXT(name)(folder, path, flags, mode), -1);                            \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

/* A shortened call moves at least one byte: none at all would mean the end of the file. */
#define HALF(size) ((size) / 2 + (size) % 2)

#define MOVES(name, call, buffer_type)                                                      \
    ssize_t name(int file, buffer_type buffer, size_t size) {                               \
        enum fate fate = meet_file(call, file, #name);                                      \
        if (fate == SHORTEN)                                                                \
            size = HALF(size);                                                              \
        ANSWER(fate, NEXT(name)(file, buffer, size), -1);                                   \
    }

#define MOVES_FROM(name, call, buffer_type, offset_type)                                    \
    ssize_t name(int file, buffer_type buffer, size_t size, offset_type offset) {           \
        enum fate fate = meet_file(call, file, #name);                                      \
        if (fate == SHORTEN)                                                                \
            size = HALF(size);                                                              \
        ANSWER(fate, NEXT(name)(file, buffer, size, offset), -1);                           \
    }

/* Shortened to half of the first piece that is not empty. */
#define MOVES_PIECES(name, call, whole)                                                     \
    ssize_t name(int file, const struct iovec *pieces, int count) {                         \
        enum fate fate = meet_file(call, file, #name);                                      \
        if (fate == SHORTEN)                                                                \
            for (int i = 0; i < count; i++)                                                 \
                if (pieces[i].iov_len > 0)                                                  \
                    return NEXT(whole)(file, pieces[i].iov_base, HALF(pieces[i].iov_len));  \
        ANSWER(fate, NEXT(name)(file, pieces, count), -1);                                  \
    }

MOVES(read, READ, void *)
MOVES_FROM(pread, READ, void *, off_t)
MOVES_FROM(pread64, READ, void *, off64_t)
MOVES_PIECES(readv, READ, read)
MOVES(write, WRITE, const void *)
MOVES_FROM(pwrite, WRITE, const void *, off_t)
MOVES_FROM(pwrite64, WRITE, const void *, off64_t)
MOVES_PIECES(writev, WRITE, write)

#define OF_FILE(name, call)                                             \
    int name(int file) {                                                \
        enum fate fate = meet_file(call, file, #name);                  \
        ANSWER(fate, NEXT(name)(file), -1);                             \
    }

OF_FILE(fsync, SYNC)
OF_FILE(fdatasync, SYNC)

int ftruncate64(int file, off64_t size) {
    enum fate fate = meet_file(WRITE, file, "ftruncate64");
    ANSWER(fate, NEXT(ftruncate64)(file, size), -1);
}

/* Links and renames count by where they lead to. */
int rename(const char *from, const char *to) {
    enum fate fate = meet_at(LINK, AT_FDCWD, to, "rename");
    ANSWER(fate, NEXT(rename)(from, to), -1);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    enum fate fate = meet_at(LINK, to_folder, to, "renameat");
    ANSWER(fate, NEXT(renameat)(from_folder, from, to_folder, to), -1);
}

int link(const char *from, const char *to) {
    enum fate fate = meet_at(LINK, AT_FDCWD, to, "link");
    ANSWER(fate, NEXT(link)(from, to), -1);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    enum fate fate = meet_at(LINK, to_folder, to, "linkat");
    ANSWER(fate, NEXT(linkat)(from_folder, from, to_folder, to, flags), -1);
}

int unlink(const char *path) {
    enum fate fate = meet_at(UNLINK, AT_FDCWD, path, "unlink");
    ANSWER(fate, NEXT(unlink)(path), -1);
}

int unlinkat(int folder, const char *path, int flags) {
    enum fate fate = meet_at(UNLINK, folder, path, "unlinkat");
    ANSWER(fate, NEXT(unlinkat)(folder, path, flags), -1);
}

int mkdir(const char *path, mode_t mode) {
    enum fate fate = meet_at(MKDIR, AT_FDCWD, path, "mkdir");
    ANSWER(fate, NEXT(mkdir)(path, mode), -1);
}

DIR *opendir(const char *path) {
    enum fate fate = meet_at(LIST, AT_FDCWD, path, "opendir");
    ANSWER(fate, NEXT(opendir)(path), NULL);
}

DIR *fdopendir(int file) {
    enum fate fate = meet_file(LIST, file, "fdopendir");
    ANSWER(fate, NEXT(fdopendir)(file), NULL);
}

struct dirent64 *readdir64(DIR *folder) {
    enum fate fate = meet_file(LIST, dirfd(folder), "readdir64");
    ANSWER(fate, NEXT(readdir64)(folder), NULL);
}

#define STATS(name, about_type)                                         \
    int name(const char *path, about_type about) {                      \
        enum fate fate = meet_at(STAT, AT_FDCWD, path, #name);          \
        ANSWER(fate, NEXT(name)(path, about), -1);                      \
    }

STATS(stat64, struct stat64 *)
STATS(lstat64, struct stat64 *)

int fstat64(int file, struct stat64 *about) {
    enum fate fate = meet_file(STAT, file, "fstat64");
    ANSWER(fate, NEXT(fstat64)(file, about), -1);
}

int fstatat64(int folder, const char *path, struct stat64 *about, int flags) {
    enum fate fate = meet_at(STAT, folder, path, "fstatat64");
    ANSWER(fate, NEXT(fstatat64)(folder, path, about, flags), -1);
}

int statx(int folder, const char *path, int flags, unsigned int mask, struct statx *about) {
    enum fate fate = meet_at(STAT, folder, path, "statx");
    ANSWER(fate, NEXT(statx)(folder, path, flags, mask, about), -1);
}
