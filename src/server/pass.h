/* pass.h: a descriptor and a few bytes, from one process to another that shares a pair of sockets with it. */
#ifndef SHMAIL_PASS_H
#define SHMAIL_PASS_H

#include <stdbool.h>
#include <stddef.h>

/* descriptor: -1 for none. Never waits. False: nobody is there, or it has been sent all that it can hold;
 * errno tells. */
bool pass_give(int channel, int descriptor, const void *bytes, size_t length);

/* Waits if it is to, and the channel blocks. True: so many bytes have come, and with them what is in
 * *descriptor, closed at exec and the caller's; -1: none. False: nothing has (errno is EAGAIN), or nobody is
 * there any more. */
bool pass_hear(int channel, bool waits, void *bytes, size_t length, int *descriptor);

#endif
