/* standard.c: fills the places of closed standard descriptors. It reads and writes nothing. */
#include "standard.h"

#include <fcntl.h>
#include <unistd.h>

bool standard_hold(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}
