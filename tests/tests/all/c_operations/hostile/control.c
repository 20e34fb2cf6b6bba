/* The same attempts by a program that nothing shuts in, each in a process of its own: name, who succeeds, error. */
#include "attempts.h"

int main(int count, char **words) {
    if (count != 3 || chdir(words[1]) != 0) return 2;
    snprintf(outside, sizeof outside, "%s", words[1]);
    victim = atoi(words[2]);
    for (int index = 0; index < COUNT; index++) {
        int status = 0, who = attempts[index].who, alone = who == ANYONE || (who == ROOT && getuid() == 0);
        if (alone) {
            pid_t pid = fork();
            if (pid == 0) _exit(tried(index));
            waitpid(pid, &status, 0);
        }
        printf("%s %s %d\n", attempts[index].name, alone ? "tried" : "untried", status);
        fflush(stdout);
    }
    return 0;
}
