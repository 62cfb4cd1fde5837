/* pass.h: a descriptor and a few bytes, from one process to another that shares a pair of sockets with it. */
#ifndef SHMAIL_PASS_H
#define SHMAIL_PASS_H

#include <stdbool.h>
#include <stddef.h>

/* Never waits. False: nobody is there, or it has been sent all that it can hold; errno tells. */
bool pass_give(int channel, int descriptor, const void *bytes, size_t length);

/* Waits, unless the channel does not block. The descriptor, closed at exec, is the caller's; -1: there is
 * none, or not with so many bytes. */
int pass_take(int channel, void *bytes, size_t length);

#endif
