/** What a waiting task needs of a signal that it is to stop; a light value may stand in for an AbortSignal on a hot path. */

/** The part of AbortSignal that is used. A listener is called at most once. */
export type StopSignal = {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
};
