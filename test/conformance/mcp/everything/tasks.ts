/**
 * The tasks extension (SEP-2663): calls that are answered with a task, which the client then asks for. A server of
 * its own behind the same endpoint, because the high-level server of the SDK turns every error of a tool into a result.
 */
import {
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequests,
  inputRequired,
  inputResponse,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { confirmForm, nameForm } from "./forms.ts";

export const tasksExtension = "io.modelcontextprotocol/tasks";

type Task = {
  taskId: string;
  status: "working" | "input_required" | "completed" | "failed" | "cancelled";
  createdAt: string;
  lastUpdatedAt: string;
  ttlMs: number;
  pollIntervalMs: number;
  result?: CallToolResult;
  error?: { code: number; message: string };
  inputRequests?: InputRequests;
};
/** What becomes of a new task: at once, after a time, or when the client has answered. */
type Course =
  | { kind: "result"; result: CallToolResult; afterMs: number }
  | { kind: "error"; message: string }
  | { kind: "asks"; questions: InputRequests };

const say = (text: string): CallToolResult => ({ content: [{ type: "text", text }] });
const ask = (message: string) => inputRequired.elicit({ message, requestedSchema: confirmForm });
const secondsSchema = z.object({ seconds: z.number().min(0).max(120).default(0) });

/** The tools that are answered with a task when the client can take one. */
export const taskTools: Readonly<Record<string, { description: string; course(given: unknown): Course }>> = {
  slow_compute: {
    description: "Takes as many seconds as it is told",
    course(given) {
      const { seconds } = secondsSchema.parse(given ?? {});
      return { kind: "result", result: say(`It took ${seconds} s.`), afterMs: seconds * 1_000 };
    },
  },
  failing_job: {
    description: "Ends with the result of a tool that failed",
    course: () => ({ kind: "result", result: { ...say("It failed."), isError: true }, afterMs: 0 }),
  },
  protocol_error_job: {
    description: "Ends with an error of the protocol",
    course: () => ({ kind: "error", message: "The job was lost" }),
  },
  confirm_delete: {
    description: "Asks before it goes on",
    course: () => ({ kind: "asks", questions: { confirm: ask("Delete it?") } }),
  },
  multi_input: {
    description: "Asks two questions at once",
    course: () => ({ kind: "asks", questions: { first: ask("The first?"), second: ask("The second?") } }),
  },
  test_tool_with_task: {
    description: "Asks in the call itself, and then goes on as a task",
    course: (given) => ({ kind: "result", result: say(`Done for ${JSON.stringify(given)}.`), afterMs: 0 }),
  },
};

/** Tools that cannot be called without the extension. */
const needTask: readonly string[] = ["failing_job", "protocol_error_job"];
const idSchema = z.object({ taskId: z.string() });

export class Tasks {
  readonly #tasks = new Map<string, Task>();

  create(course: Course): Task {
    const now = new Date().toISOString();
    const times = { createdAt: now, lastUpdatedAt: now, ttlMs: 600_000, pollIntervalMs: 100 };
    const task: Task = { taskId: crypto.randomUUID(), status: "working", ...times };
    this.#tasks.set(task.taskId, task);
    if (course.kind === "result") {
      setTimeout(
        () => this.#end(task, { status: "completed", result: course.result }),
        course.afterMs,
      ).unref();
    } else if (course.kind === "error") {
      this.#end(task, { status: "failed", error: { code: -32_603, message: course.message } });
    } else {
      this.#change(task, { status: "input_required", inputRequests: { ...course.questions } });
    }
    return task;
  }

  get(taskId: string): Task {
    const task = this.#tasks.get(taskId);
    if (task === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `No task ${taskId}`);
    return task;
  }

  /** Answers to questions that the task does not ask are ignored. */
  update(taskId: string, responses: Record<string, unknown>): void {
    const task = this.get(taskId);
    if (task.status !== "input_required") return;
    const open = Object.entries(task.inputRequests ?? {}).filter(([key]) => !(key in responses));
    if (open.length > 0) this.#change(task, { inputRequests: Object.fromEntries(open) });
    else this.#end(task, { status: "completed", result: say("Every question was answered.") });
  }

  cancel(taskId: string): void {
    this.#end(this.get(taskId), { status: "cancelled" });
  }

  #end(task: Task, outcome: Partial<Task>): void {
    if (["completed", "failed", "cancelled"].includes(task.status)) return;
    delete task.inputRequests;
    this.#change(task, outcome);
  }

  #change(task: Task, change: Partial<Task>): void {
    Object.assign(task, change, { lastUpdatedAt: new Date().toISOString() });
  }
}

function canTakeTasks(ctx: ServerContext): boolean {
  const envelope: Record<string, unknown> = ctx.mcpReq.envelope ?? {};
  return tasksExtension in Object(Object(envelope[CLIENT_CAPABILITIES_META_KEY]).extensions);
}

function requireTasks(ctx: ServerContext): void {
  if (canTakeTasks(ctx)) return;
  const requiredCapabilities = { extensions: { [tasksExtension]: {} } };
  throw new MissingRequiredClientCapabilityError({ requiredCapabilities });
}

/** The result of a task's tool for a client that cannot take a task. */
async function atOnce(course: Course): Promise<CallToolResult> {
  if (course.kind !== "result") return say("It would have been a task.");
  await new Promise((resolve) => setTimeout(resolve, course.afterMs));
  return course.result;
}

/** True for the requests that go to the server of this file. */
export function isForTasks(method: unknown, name: unknown): boolean {
  if (typeof method !== "string") return false;
  return method.startsWith("tasks/") || (method === "tools/call" && Object.hasOwn(taskTools, String(name)));
}

/** The modern server of one request; `tasks` outlives it. */
export function createTaskServer(tasks: Tasks): Server {
  const server = new Server(
    { name: "everything-fixture", version: "1.0.0" },
    { capabilities: { tools: {}, extensions: { [tasksExtension]: {} } } },
  );
  server.setRequestHandler("tools/call", async ({ params }, ctx) => {
    const { name, arguments: given } = params;
    const tool = taskTools[name];
    if (tool === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Tool ${name} not found`);
    if (needTask.includes(name)) requireTasks(ctx);
    if (!canTakeTasks(ctx)) return atOnce(tool.course(given));
    const responses = ctx.mcpReq.inputResponses;
    const isFirst = inputResponse(responses, "user_name").kind === "missing";
    if (name === "test_tool_with_task" && isFirst) {
      const question = inputRequired.elicit({ message: "What is your name?", requestedSchema: nameForm });
      return inputRequired({ inputRequests: { user_name: question } });
    }
    const {
      result: _,
      error: __,
      inputRequests: ___,
      ...task
    } = tasks.create(tool.course(responses ?? given));
    return { ...task, resultType: "task", content: [] };
  });
  server.setRequestHandler("tasks/get", { params: idSchema }, ({ taskId }, ctx) => {
    requireTasks(ctx);
    return { ...tasks.get(taskId) };
  });
  server.setRequestHandler("tasks/update", { params: idSchema }, ({ taskId }, ctx) => {
    requireTasks(ctx);
    tasks.update(taskId, ctx.mcpReq.inputResponses ?? {});
    return {};
  });
  server.setRequestHandler("tasks/cancel", { params: idSchema }, ({ taskId }, ctx) => {
    requireTasks(ctx);
    tasks.cancel(taskId);
    return {};
  });
  return server;
}
