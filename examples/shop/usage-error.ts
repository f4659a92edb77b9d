/** What was asked for cannot be, and the message says why in a sentence. */
export class UsageError extends Error {}
