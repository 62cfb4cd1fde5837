/* thread.h: a second thread for a while, in a process that handles its signals in the first. */
#ifndef SHMAIL_THREAD_H
#define SHMAIL_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* It has 64 KiB of stack and takes no signal. False: the system gives none. pthread_join ends it. */
bool thread_begin(pthread_t *, void *(*run)(void *), void *context);

#endif
