export const Deed = { ECHO: 0, LATER: 1, THROW: 2, EXIT: 3, LOOP: 4, NEVER: 5 } as const;
