/*
 * What foreign code may try on the machine that it runs on. Each attempt is one thing: it returns -1 with errno when it
 * was refused, and anything else when it succeeded. Whoever includes this sets `outside`, a folder with files that belong
 * to the user of the process, and `victim`, a process of the same user.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static char outside[4096];
static int victim;

/* A file of the folder outside. */
static inline const char *at(const char *name) {
    static char paths[2][4200];
    static int next;
    char *path = paths[next ^= 1];
    snprintf(path, sizeof paths[0], "%s/%s", outside, name);
    return path;
}

static inline int of_victim(const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", victim, name);
    return open(path, O_RDONLY);
}

static inline int datagram_of(int fd) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (fd < 0) return -1;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", at("mailbox"));
    return (int)sendto(fd, "out", 3, 0, (struct sockaddr *)&to, sizeof to);
}

static inline int datagram_of_pair(void) {
    int pair[2];
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 ? -1 : datagram_of(pair[0]);
}

/* An end of a child, which is not to run on as this process. */
static inline int parent_only(long pid) {
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid((pid_t)pid, NULL, 0);
    return (int)pid;
}

static inline int spawned(void) {
    char *const words[] = {(char *)"true", NULL};
    pid_t pid;
    int error = posix_spawn(&pid, "/bin/true", NULL, NULL, words, NULL);
    if (error == 0) return waitpid(pid, NULL, 0);
    errno = error;
    return -1;
}

/* The memory that the process shares with imgflo, or any other file that is open for writing. */
static inline int grow_what_is_open(void) {
    int refused = EPERM;
    for (int fd = 3; fd < 64; fd++) {
        if (ftruncate(fd, (off_t)1 << 40) == 0 || fallocate(fd, 0, 0, (off_t)1 << 40) == 0) return 0;
        if (errno != EBADF) refused = errno;
    }
    errno = refused;
    return -1;
}

static inline int mapped(int protection, int flags) {
    void *place = mmap(NULL, 1 << 20, protection, flags | MAP_ANONYMOUS, -1, 0);
    return place == MAP_FAILED ? -1 : 0;
}

static inline int data_made_code(void) {
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return place == MAP_FAILED ? 0 : mprotect(place, 4096, PROT_READ | PROT_EXEC);
}

static inline int shared_by_name(void) {
    int fd = shm_open("/imgflo-attempt", O_CREAT | O_RDWR, 0600);
    if (fd >= 0) shm_unlink("/imgflo-attempt");
    return fd;
}

static inline int shared_by_number(void) {
    int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
    if (id >= 0) shmctl(id, IPC_RMID, NULL);
    return id;
}

static inline int messages(void) {
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (id >= 0) msgctl(id, IPC_RMID, NULL);
    return id;
}

static inline int semaphores(void) {
    int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    if (id >= 0) semctl(id, 0, IPC_RMID);
    return id;
}

static inline int affinity(int of) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    return sched_setaffinity(of, sizeof one, &one);
}

static inline int limits_of(int process) {
    struct rlimit little = {64, 64};
    return prlimit(process, RLIMIT_NOFILE, &little, NULL);
}

static inline int signal_by_descriptor(void) {
    long fd = syscall(SYS_pidfd_open, victim, 0);
    return fd < 0 ? -1 : (int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
}

static inline int read_memory(void) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)&victim, 1};
    return (int)process_vm_readv(victim, &here, 1, &there, 1, 0);
}

static inline int mode_of_the_system(void) {
    struct stat stat;
    int fd = open("/usr/bin/env", O_RDONLY);
    return fd < 0 || fstat(fd, &stat) < 0 ? -1 : fchmod(fd, stat.st_mode & 07777);
}

static inline int same_name_of_the_machine(void) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return sethostname(name, strlen(name));
}

static inline int mounted(void) {
    int done = mount("none", at("folder"), "tmpfs", 0, NULL);
    if (done == 0) umount2(at("folder"), MNT_DETACH);
    return done;
}

static inline int own_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    return (int)syscall(SYS_capget, &header, data);
}

static inline int time_of_the_machine(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return clock_settime(CLOCK_REALTIME, &now);
}

static inline int executed(void) {
    char *const words[] = {(char *)"true", NULL};
    return execv("/bin/true", words);
}

/* Who succeeds without a sandbox, and does no harm then. */
enum { ANYONE = 1, ROOT = 2, UNTRIED = 3 };

/* Name, who, what. */
#define ATTEMPTS(X)                                                                                                   \
    /* Files of others. */                                                                                            \
    X(chmod, ANYONE, chmod(at("precious"), 0777))                                                                     \
    X(fchmodat, ANYONE, fchmodat(AT_FDCWD, at("precious"), 0777, 0))                                                  \
    X(fchmod_of_system, ROOT, mode_of_the_system())                                                                   \
    X(chown, ANYONE, chown(at("precious"), getuid(), getgid()))                                                       \
    X(lchown, ANYONE, lchown(at("precious"), getuid(), getgid()))                                                     \
    X(utimensat, ANYONE, utimensat(AT_FDCWD, at("precious"), NULL, 0))                                                \
    X(setxattr, ANYONE, setxattr(at("precious"), "user.mark", "x", 1, 0))                                             \
    X(open_to_write, ANYONE, open(at("precious"), O_WRONLY))                                                          \
    X(open_to_append, ANYONE, open(at("precious"), O_WRONLY | O_APPEND))                                              \
    X(create, ANYONE, open(at("created"), O_CREAT | O_WRONLY, 0600))                                                  \
    X(create_unnamed, ANYONE, open(outside, O_TMPFILE | O_WRONLY, 0600))                                              \
    X(create_here, ANYONE, open("left-behind", O_CREAT | O_WRONLY, 0600))                                             \
    X(create_in_tmp, ANYONE, open("/tmp/imgflo-attempt", O_CREAT | O_WRONLY, 0600))                                   \
    X(truncate, ANYONE, truncate(at("shortened"), 1))                                                                 \
    X(unlink, ANYONE, unlink(at("deleted")))                                                                          \
    X(rename, ANYONE, rename(at("renamed"), at("other-name")))                                                        \
    X(link, ANYONE, link(at("precious"), at("second-name")))                                                          \
    X(symlink, ANYONE, symlink("/", at("way-out")))                                                                   \
    X(mkdir, ANYONE, mkdir(at("made"), 0700))                                                                         \
    X(rmdir, ANYONE, rmdir(at("emptied")))                                                                            \
    X(mkfifo, ANYONE, mkfifo(at("fifo"), 0600))                                                                       \
    X(mknod_device, ROOT, mknod(at("device"), S_IFCHR | 0600, 0x103))                                                 \
    X(read, ANYONE, open(at("precious"), O_RDONLY))                                                                   \
    X(read_etc, ANYONE, open("/etc/passwd", O_RDONLY))                                                                \
    X(list, ANYONE, opendir(outside) ? 0 : -1)                                                                        \
    X(read_environment, ANYONE, of_victim("environ"))                                                                 \
    X(write_own_memory, ANYONE, open("/proc/self/mem", O_RDWR))                                                       \
    X(lock, ANYONE, flock(open("/usr/bin/env", O_RDONLY), LOCK_SH))                                                   \
    X(watch, ANYONE, inotify_init1(0))                                                                                \
    X(chroot, ROOT, chroot(outside))                                                                                  \
    /* The network and sockets. */                                                                                    \
    X(socket_inet, ANYONE, socket(AF_INET, SOCK_STREAM, 0))                                                           \
    X(socket_inet_datagram, ANYONE, socket(AF_INET6, SOCK_DGRAM, 0))                                                  \
    X(socket_unix, ANYONE, socket(AF_UNIX, SOCK_STREAM, 0))                                                           \
    X(datagram_by_path, ANYONE, datagram_of(socket(AF_UNIX, SOCK_DGRAM, 0)))                                          \
    X(datagram_by_path_of_pair, ANYONE, datagram_of_pair())                                                           \
    X(socket_netlink, ANYONE, socket(AF_NETLINK, SOCK_RAW, 0))                                                        \
    X(socket_packet, ROOT, socket(AF_PACKET, SOCK_RAW, 0))                                                            \
    X(socketpair, ANYONE, socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}))                                           \
    X(io_uring, UNTRIED, (int)syscall(SYS_io_uring_setup, 1, (char[256]){0}))                                         \
    /* Processes. */                                                                                                  \
    X(fork, ANYONE, parent_only(fork()))                                                                              \
    X(clone, ANYONE, parent_only(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))                                            \
    X(clone3, ANYONE, parent_only(syscall(SYS_clone3, (unsigned long long[8]){[4] = SIGCHLD}, 64)))                   \
    X(spawn, ANYONE, spawned())                                                                                       \
    X(execute, ANYONE, executed())                                                                                    \
    X(signal, ANYONE, kill(victim, SIGCONT))                                                                          \
    X(signal_parent, ANYONE, kill(getppid(), 0))                                                                      \
    X(signal_group, ANYONE, kill(0, 0))                                                                               \
    X(signal_thread, ANYONE, (int)syscall(SYS_tgkill, victim, victim, 0))                                             \
    X(signal_with_value, ANYONE, sigqueue(victim, 0, (union sigval){0}))                                              \
    X(signal_by_descriptor, ANYONE, signal_by_descriptor())                                                           \
    X(signal_by_descriptor_flags, ANYONE, fcntl(0, F_SETOWN, victim))                                                 \
    X(nice, ANYONE, setpriority(PRIO_PROCESS, (id_t)victim, 5))                                                       \
    X(nice_to_itself, ANYONE, setpriority(PRIO_PROCESS, 0, 5))                                                        \
    X(affinity, ANYONE, affinity(victim))                                                                             \
    X(affinity_of_parent, UNTRIED, affinity(getppid()))                                                               \
    X(affinity_of_itself, ANYONE, affinity(0))                                                                        \
    X(scheduler, ANYONE, sched_setscheduler(victim, SCHED_BATCH, &(struct sched_param){0}))                           \
    X(scheduler_of_itself, ANYONE, sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}))                      \
    X(disk_priority, ANYONE, (int)syscall(SYS_ioprio_set, 1, victim, (3 << 13)))                                      \
    X(limits, ANYONE, limits_of(victim))                                                                              \
    X(limits_of_itself, ANYONE, limits_of(0))                                                                         \
    X(trace, UNTRIED, (int)ptrace(PTRACE_SEIZE, victim, NULL, NULL))                                                  \
    X(read_memory, UNTRIED, read_memory())                                                                            \
    X(session, ANYONE, setsid())                                                                                      \
    X(group, ANYONE, setpgid(0, 0))                                                                                   \
    /* Memory that is counted nowhere, and code that is made. */                                                      \
    X(memfd, ANYONE, memfd_create("attempt", 0))                                                                      \
    X(shared_by_number, ANYONE, shared_by_number())                                                                   \
    X(shared_by_name, ANYONE, shared_by_name())                                                                       \
    X(shared_without_name, ANYONE, mapped(PROT_READ | PROT_WRITE, MAP_SHARED))                                        \
    X(messages, ANYONE, messages())                                                                                   \
    X(semaphores, ANYONE, semaphores())                                                                               \
    X(pipe, ANYONE, pipe((int[2]){0}))                                                                                \
    X(grow_what_is_open, UNTRIED, grow_what_is_open())                                                                \
    X(lock_memory, ANYONE, mlockall(MCL_CURRENT))                                                            \
    X(page_faults, UNTRIED, (int)syscall(SYS_userfaultfd, 0))                                                         \
    X(keys, UNTRIED, (int)syscall(SYS_add_key, "user", "attempt", "x", 1, -3))                                        \
    X(writable_code, ANYONE, mapped(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE))                                 \
    X(data_made_code, ANYONE, data_made_code())                                                                       \
    /* What root may do, and whoever has a namespace. */                                                              \
    X(namespace_of_users, ANYONE, unshare(CLONE_NEWUSER))                                                             \
    X(namespace_by_clone, ANYONE, parent_only(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)))               \
    X(namespace_of_network, ROOT, unshare(CLONE_NEWNET))                                                              \
    X(mount, ROOT, mounted())                                                                                         \
    X(capabilities, ANYONE, own_capabilities())                                                                       \
    X(user, ROOT, setuid(12345))                                                                                      \
    X(groups, ROOT, setgroups(0, NULL))                                                                               \
    X(name_of_machine, ROOT, same_name_of_the_machine())                                                              \
    X(time_of_machine, UNTRIED, time_of_the_machine())                                                                \
    X(log_of_kernel, ROOT, klogctl(10, NULL, 0))                                                                      \
    X(accounting, ROOT, acct(NULL))                                                                                   \
    X(reboot, UNTRIED, reboot(RB_DISABLE_CAD))                                                                        \
    X(module, UNTRIED, (int)syscall(SYS_init_module, "", 0, ""))                                                      \
    X(bpf, UNTRIED, (int)syscall(SYS_bpf, 0, (char[128]){0}, 128))                                                    \
    X(counters, UNTRIED, (int)syscall(SYS_perf_event_open, (char[128]){0}, 0, -1, -1, 0))                             \
    X(personality, ANYONE, personality(ADDR_NO_RANDOMIZE))                                                            \
    X(dumpable, ANYONE, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))                                                           \
    X(reaper, ANYONE, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))                                                      \
    X(unknown_call, UNTRIED, (int)syscall(100000))                                                                    \
    X(call_of_x32, UNTRIED, (int)syscall(0x40000000 + 41, AF_INET, SOCK_STREAM, 0))

#define FUNCTION(name_, who_, ...) \
    static inline int attempt_##name_(void) { return (__VA_ARGS__); }
ATTEMPTS(FUNCTION)

static const struct {
    const char *name;
    int who;
    int (*run)(void);
} attempts[] = {
#define ENTRY(name_, who_, ...) {#name_, who_, attempt_##name_},
    ATTEMPTS(ENTRY)
};
#define COUNT ((int)(sizeof attempts / sizeof *attempts))

/* Makes an attempt: 0 when it succeeded, or else the number of the error. */
static inline int tried(int index) {
    errno = 0;
    return attempts[index].run() >= 0 ? 0 : errno;
}
