/** What an app-server asks of a client when nobody sits at a terminal: nothing is allowed that its settings do not allow. */

export type ServerAnswer = { result: Record<string, unknown> } | { error: { code: number; message: string } };

const declined: Readonly<Record<string, Record<string, unknown>>> = {
  "item/commandExecution/requestApproval": { decision: "decline" },
  "item/fileChange/requestApproval": { decision: "decline" },
  "item/permissions/requestApproval": { permissions: {}, scope: "turn" },
  "mcpServer/elicitation/request": { action: "decline", content: null, _meta: null },
  "item/tool/requestUserInput": { answers: {} },
};

/** The answer where nobody can be asked: a refusal that the model reads, so that its turn goes on. */
export function unattendedAnswer(method: string): ServerAnswer {
  const result = declined[method];
  return result === undefined
    ? { error: { code: -32_601, message: `nobody answers ${method} here` } }
    : { result };
}
