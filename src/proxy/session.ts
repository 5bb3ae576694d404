/**
 * Legacy sessions. `Mcp-Session-Id` is a sealed value (version, client capabilities, unique id): an endpoint that
 * was started again with the same secret knows every session it made before without having kept anything.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../base/random.ts";
import { isObject, type JsonObject } from "../wire/jsonrpc.ts";

/** What a session id says. */
export type SessionFacts = {
  /** Unique id of the session. */
  readonly uid: string;
  /** The protocol version that was negotiated. */
  readonly version: string;
  /** What the client declared, to be declared again when the upstream forgets its session. */
  readonly capabilities: JsonObject;
};

/** Sealed values longer than this do not fit request headers everywhere; the capabilities are then cut to names. */
const sealedCharactersMax = 2_048;

export type Sealer = {
  seal(facts: SessionFacts): string;
  /** The facts of a value that this secret has sealed; undefined for anything else. */
  unseal(value: string): SessionFacts | undefined;
};

/** @param secret the endpoint's secret; the sealing key is derived from it */
export function sealer(secret: string): Sealer {
  const key = createHmac("sha256", secret).update("agent-relay mcp session").digest();
  const mac = (text: string) => createHmac("sha256", key).update(text).digest();
  const write = (facts: SessionFacts) => {
    const body = Buffer.from(JSON.stringify([facts.uid, facts.version, facts.capabilities])).toString(
      "base64url",
    );
    return `${body}.${mac(body).toString("base64url")}`;
  };
  return {
    seal(facts) {
      const whole = write(facts);
      if (whole.length <= sealedCharactersMax) return whole;
      const names = ["elicitation", "roots", "sampling"].filter((name) => name in facts.capabilities);
      return write({ ...facts, capabilities: Object.fromEntries(names.map((name) => [name, {}])) });
    },
    unseal(value) {
      const [body = "", sum = "", more] = value.split(".");
      const given = Buffer.from(sum, "base64url");
      const wanted = mac(body);
      if (more !== undefined || given.length !== wanted.length || !timingSafeEqual(given, wanted))
        return undefined;
      const [uid, version, capabilities]: unknown[] = JSON.parse(Buffer.from(body, "base64url").toString());
      if (typeof uid !== "string" || typeof version !== "string" || !isObject(capabilities)) return undefined;
      return { uid, version, capabilities };
    },
  };
}

/** A fresh session uid. */
export function newSessionUid(random: Random): string {
  return Buffer.from(random.bytes(12)).toString("base64url");
}
