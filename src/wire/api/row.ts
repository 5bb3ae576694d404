/** What a row of the operation table is, and the schemas that several rows share. */
import { z } from "zod";
import { agentNameRule, isAgentName } from "../id.ts";
import { isScope, type Scope } from "../scope.ts";

/** One HTTP operation. A GET takes its request from path and query, any other method from path and JSON body. */
export type OperationRow = {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path below the relay's origin; `:name` takes a member of the request. */
  readonly path: string;
  /** Scope the token must have; `any` = any valid token; `none` = no token. */
  readonly scope: Scope | "any" | "none";
  readonly summary: string;
  readonly request: z.ZodType<Record<string, unknown>, Record<string, unknown>>;
  readonly reply: z.ZodType;
};

export const agentName = z.string().refine(isAgentName, { message: `must be ${agentNameRule}` });
export const secretHash = z.string().regex(/^[0-9a-f]{64}$/, "must be the SHA-256 of the secret in hex");
export const scopeList = z.array(z.string().refine(isScope, { message: "is not a scope" }));
