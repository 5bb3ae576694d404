/** Obligations, presence, quarantine and insights in the relay's memory. The rules of all verbs are in store.ts. */

// biome-ignore lint/suspicious/noEmptyInterface: placeholder
export interface ObligationVerbs {}
