/** What a runner's control server can be asked, for those who ask and for the one who answers. */

/** Paths of the control server. */
export const controlPaths = {
  status: "/status",
  records: "/records",
  record: "/record",
  metrics: "/metrics",
  act: "/act",
  session: "/session",
  hook: "/hook",
} as const;
export type ControlPath = (typeof controlPaths)[keyof typeof controlPaths];

/** What is asked of a control server. */
export type ControlQuestion = {
  path: ControlPath;
  method?: "GET" | "POST";
  /** Members of the query; one that is repeated is a list. */
  query?: readonly (readonly [string, string])[];
  /** Sent as JSON. */
  body?: unknown;
};
