/** A WebSocket that carries whole texts, with a bearer token in its opening request. */

/** A connection that carries whole texts. Nothing is called after `onClose`. */
export type TextSocket = { send(text: string): void; close(): void };
export type SocketEvents = { onText(text: string): void; onClose(why: string): void };
/**
 * Opens a connection. Rejects when there is none.
 * @param token the bearer token that the server asks for
 */
export type OpenSocket = (url: string, token: string, events: SocketEvents) => Promise<TextSocket>;

/** Opens a WebSocket; rejects when nothing answers or the token is refused. */
export const openWebSocket: OpenSocket = (url, token, events) =>
  new Promise((resolve, reject) => {
    // Bun takes headers here; its types, made for browsers too, only know protocols.
    const headers = { headers: { Authorization: `Bearer ${token}` } } as unknown as string[];
    const socket = new WebSocket(url, headers);
    let open = false;
    socket.onopen = () => {
      open = true;
      resolve({ send: (text) => socket.send(text), close: () => socket.close() });
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") events.onText(data);
    };
    socket.onclose = ({ code, reason }) => {
      const why = `the connection closed (${code}${reason === "" ? "" : ` ${reason}`})`;
      if (open) events.onClose(why);
      else reject(new Error(`Connect to ${url}: ${why}`));
    };
  });
