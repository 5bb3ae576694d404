/** The forms that the fixture shows to the user of a client. */
import type { ElicitRequestFormParams } from "@modelcontextprotocol/server";

export type Form = ElicitRequestFormParams["requestedSchema"];

export const nameForm: Form = {
  type: "object",
  properties: { name: { type: "string" } },
  required: ["name"],
};

export const colourForm: Form = {
  type: "object",
  properties: { color: { type: "string" } },
  required: ["color"],
};

export const confirmForm: Form = {
  type: "object",
  properties: { ok: { type: "boolean" } },
  required: ["ok"],
};

export const contextForm: Form = {
  type: "object",
  properties: { context: { type: "string" } },
  required: ["context"],
};

export const personForm: Form = {
  type: "object",
  properties: {
    username: { type: "string", description: "The name to use" },
    email: { type: "string", description: "The address to write to" },
  },
  required: ["username", "email"],
};

/** A default for every primitive type (SEP-1034); the values are those the suite asks for. */
export const defaultsForm: Form = {
  type: "object",
  properties: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
};

const titled = [
  { const: "value1", title: "First" },
  { const: "value2", title: "Second" },
];

/** Every way to write a list of choices (SEP-1330). */
export const enumsForm: Form = {
  type: "object",
  properties: {
    untitledSingle: { type: "string", enum: ["option1", "option2"] },
    titledSingle: { type: "string", oneOf: titled },
    legacyEnum: { type: "string", enum: ["opt1", "opt2"], enumNames: ["One", "Two"] },
    untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2"] } },
    titledMulti: { type: "array", items: { anyOf: titled } },
  },
};
