"use strict";
// Requests carry the cookie of the browser login, or the session that is written under "Headers".
(function () {
  const root = document.getElementById("graphiql");
  if (!window.React || !window.ReactDOM || !window.GraphiQL) {
    document.getElementById("note").textContent =
      "The files of GraphiQL are not part of this build: it was made without npm. Run make build where npm is installed. The API at POST /graphql works all the same.";
    return;
  }
  const examples = [
    [
      "# Sign in above, or write a session under Headers:",
      '# {"Authorization": "Bearer <session_token>"}',
      "query Version {",
      "  health",
      "  version",
      "}",
    ],
    [
      "# The frames of a client; the latest is shown.",
      "# Run this. Then a button above starts a playbook.",
      "subscription Frames {",
      "  frames {",
      "    id",
      "    method",
      "    params",
      "  }",
      "}",
    ],
    [
      "# Progress and result arrive at an event stream,",
      "# whose clientId this mutation takes, too.",
      "mutation Run {",
      '  executePlaybook(name: "demo/echo", variables: {text: "hello"}) {',
      "    executionId",
      "    requestId",
      "    status",
      "  }",
      "}",
    ],
  ].map((lines) => ({ query: lines.join("\n") + "\n" }));

  // GraphiQL runs one operation and no other while a subscription lasts: a button of ours starts the run whose frames
  // are seen.
  const demo = document.getElementById("demo");
  let clientId;
  let authorization;

  function remember(payload, token) {
    const frame = payload && payload.data && payload.data.frames;
    if (!frame || frame.method !== "initialized" || !frame.params) return;
    clientId = frame.params.clientId;
    authorization = token;
    demo.hidden = false;
  }

  demo.addEventListener("click", async () => {
    demo.disabled = true;
    const query = "mutation($c: String) { executePlaybook(name: \"demo/progress\", variables: {step_ms: 700}, clientId: $c) { executionId } }";
    const answer = await post({ query: query, variables: { c: clientId } }, authorization ? { authorization: authorization } : {});
    demo.disabled = false;
    demo.title = answer.errors ? answer.errors[0].message : "";
    if (answer.errors) document.getElementById("who").textContent = answer.errors[0].message;
  });

  function lower(headers) {
    const out = {};
    for (const name of Object.keys(headers || {})) out[name.toLowerCase()] = headers[name];
    return out;
  }

  async function post(params, headers) {
    const response = await fetch("/graphql", {
      method: "POST",
      credentials: "same-origin",
      headers: Object.assign({ accept: "application/graphql-response+json, application/json" }, lower(headers), { "content-type": "application/json" }),
      body: JSON.stringify(params),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch (_) {
      return { errors: [{ message: "The answer was no JSON (status " + response.status + ")." }] };
    }
  }

  // One WebSocket for each subscription, by graphql-transport-ws.
  function subscribe(params, headers) {
    return {
      subscribe(observer) {
        const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/graphql", "graphql-transport-ws");
        const token = lower(headers).authorization;
        socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init", payload: token ? { Authorization: token } : {} }));
        socket.onmessage = (event) => {
          const message = JSON.parse(event.data);
          switch (message.type) {
            case "connection_ack":
              socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: params }));
              break;
            case "ping":
              socket.send(JSON.stringify({ type: "pong" }));
              break;
            case "next":
              remember(message.payload, token);
              observer.next(message.payload);
              break;
            case "error":
              observer.error({ errors: message.payload });
              break;
            case "complete":
              observer.complete();
              socket.close(1000);
          }
        };
        socket.onclose = (event) => {
          demo.hidden = true;
          if (event.code === 1000) observer.complete();
          else observer.error({ errors: [{ message: "The WebSocket closed (" + event.code + " " + event.reason + ")." }] });
        };
        return { unsubscribe: () => socket.close(1000) };
      },
    };
  }

  /** GraphiQL names the operation of the tab before, for a moment after a change of tabs. */
  function named(params) {
    const name = params.operationName;
    if (!name || new RegExp("\\b(query|mutation|subscription)\\s+" + name + "\\b").test(params.query)) return params;
    return Object.assign({}, params, { operationName: undefined });
  }

  function isSubscription(params) {
    const text = params.query.replace(/#.*/g, "");
    return params.operationName
      ? new RegExp("\\bsubscription\\s+" + params.operationName + "\\b").test(text)
      : /(^|\})\s*subscription\b/.test(text);
  }

  function fetcher(sent, options) {
    const headers = options && options.headers;
    const params = named(sent);
    return isSubscription(params) ? subscribe(params, headers) : post(params, headers);
  }

  ReactDOM.createRoot(root).render(
    React.createElement(GraphiQL, { fetcher: fetcher, defaultTabs: examples, defaultQuery: examples[0].query, shouldPersistHeaders: false })
  );

  fetch("/api/me", { credentials: "same-origin", cache: "no-store" }).then(async (response) => {
    const who = document.getElementById("who");
    if (response.ok) {
      const { user } = await response.json();
      who.textContent = "Signed in as " + (user.email || user.display_name || user.user_id);
    } else if (response.status === 401) {
      const link = document.createElement("a");
      link.href = "/api/auth/browser/login?return_to=/graphql";
      link.textContent = "Sign in";
      who.replaceChildren("Not signed in. ", link);
    }
  }).catch(() => { /* the editor says what is wrong when it is used */ });
})();
