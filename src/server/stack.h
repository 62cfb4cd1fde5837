/* stack.h: leaves the stack that the process has begun with out of what is forked.
 *
 * A fork copies a mapping for it, its pages, and two page tables that hold nothing else. Who gives what it
 * forks another stack (stream.h) needs it no more, once the command line and the environment, which the
 * kernel has put there, lie elsewhere. */
#ifndef SHMAIL_STACK_H
#define SHMAIL_STACK_H

/* First of all: copies what argv and environ point to, for as long as the process lives. Returns the copy of
 * argv, or argv where there is no memory. */
char **stack_move_arguments(int argc, char **argv);

/* What this process forks from now on has no copy of the stack, and may touch nothing there; ps(1) shows its
 * arguments as before. Where the system cannot be told where they lie (PR_SET_MM_MAP: Linux 3.18, and it has
 * to be built with checkpoint and restore), all stays as it was. */
void stack_keep(void);

#endif
