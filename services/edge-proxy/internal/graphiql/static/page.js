"use strict";
// Requests carry the session that is written under "Headers", or the cookie of a browser login.
(function () {
  const root = document.getElementById("graphiql");
  if (!window.React || !window.ReactDOM || !window.GraphiQL) {
    document.getElementById("note").textContent =
      "The files of GraphiQL are not part of this build: it was made without npm. Run make build where npm is installed. The API at POST /graphql works all the same.";
    return;
  }
  const example = [
    "# Log in with POST /api/auth/login and put the session under Headers:",
    '#   {"Authorization": "Bearer <session_token>"}',
    "query {",
    "  health",
    "  version",
    "}",
    "",
  ].join("\n");

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
        socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init", payload: { Authorization: lower(headers).authorization || "" } }));
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
          if (event.code === 1000) observer.complete();
          else observer.error({ errors: [{ message: "The WebSocket closed (" + event.code + " " + event.reason + ")." }] });
        };
        return { unsubscribe: () => socket.close(1000) };
      },
    };
  }

  function isSubscription(params, options) {
    const definitions = (options && options.documentAST && options.documentAST.definitions) || [];
    return definitions.some((d) => d.operation === "subscription" && (!params.operationName || (d.name && d.name.value === params.operationName)));
  }

  function fetcher(params, options) {
    const headers = options && options.headers;
    return isSubscription(params, options) ? subscribe(params, headers) : post(params, headers);
  }

  ReactDOM.createRoot(root).render(
    React.createElement(GraphiQL, { fetcher: fetcher, defaultQuery: example, defaultEditorToolsVisibility: "headers", shouldPersistHeaders: false })
  );
})();
