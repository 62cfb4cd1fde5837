/* landlock.c: asks the kernel which version of Landlock it has, and denies all that this version can deny.
 * The numbers stand here because a kernel may be younger than the headers. */
#include "landlock.h"

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

enum { /* the same on all processors */
       CALL_CREATE_RULESET = 444,
       CALL_RESTRICT_SELF = 446,
       CREATE_VERSION = 1,
       FILE_RIGHTS = 13,     /* of version 1: execute, read, write, list, remove and make of each kind */
       NETWORK_RIGHTS = 0x3, /* bind and connect of TCP */
       SCOPES = 0x3,         /* abstract unix sockets, and signals */
};

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NETWORK = 4, ABI_IOCTL = 5, ABI_SCOPES = 6 };

struct ruleset {
    uint64_t files, network, scopes;
};

int landlock_prepare(int *abi)
{
    long version = syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_VERSION);

    *abi = version > 0 ? (int)version : 0;
    if (version <= 0) {
        return -1;
    }
    int rights = FILE_RIGHTS + (version >= ABI_REFER) + (version >= ABI_TRUNCATE) + (version >= ABI_IOCTL);
    struct ruleset ruleset = {.files = (UINT64_C(1) << rights) - 1,
                              .network = version >= ABI_NETWORK ? NETWORK_RIGHTS : 0,
                              .scopes = version >= ABI_SCOPES ? SCOPES : 0};
    size_t size = version >= ABI_SCOPES    ? sizeof ruleset
                  : version >= ABI_NETWORK ? offsetof(struct ruleset, scopes)
                                           : offsetof(struct ruleset, network);
    return (int)syscall(CALL_CREATE_RULESET, &ruleset, size, 0);
}

bool landlock_enter(int rules)
{
    return syscall(CALL_RESTRICT_SELF, rules, 0) == 0;
}
