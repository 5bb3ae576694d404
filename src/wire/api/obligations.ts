/** Operations about obligations, presence, quarantine and insights. */
import type { OperationRow } from "./row.ts";

export const obligationOperations = {} as const satisfies Record<string, OperationRow>;
