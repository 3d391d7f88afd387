import { ApiError, readBody, reasonOf, send } from './api.js';
import { isObject } from './json.js';

const RUN = `mutation Run($name: String!, $variables: JSON, $clientId: String, $requestId: String) {
  executePlaybook(name: $name, variables: $variables, clientId: $clientId, requestId: $requestId) {
    id executionId requestId name status textOutput
  }
}`;

const STATUS_OF = { UNAUTHENTICATED: 401, UNAUTHORIZED: 401, FORBIDDEN: 403, PERMISSION_DENIED: 403 };

function describe(errors) {
  return errors.map((error) => {
    const code = error?.extensions?.code;
    const message = error?.message || 'GraphQL error';
    return code ? `${message} (${code})` : message;
  }).join(' · ');
}

/** One GraphQL request; errors in the body and errors in the status both become an ApiError. */
async function query(token, document, variables) {
  const response = await send('/graphql', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: document, variables }),
  }, 130000);
  const body = await readBody(response);
  if (isObject(body) && Array.isArray(body.errors) && body.errors.length > 0) {
    const status = STATUS_OF[body.errors[0]?.extensions?.code] ?? response.status;
    throw new ApiError(describe(body.errors), status);
  }
  if (!response.ok) throw new ApiError(reasonOf(response.status, body), response.status);
  if (!isObject(body) || !isObject(body.data)) throw new ApiError('The GraphQL answer holds no data.', response.status);
  return body.data;
}

export async function executePlaybook(token, { name, variables, clientId, requestId }) {
  const data = await query(token, RUN, { name, variables, clientId, requestId });
  return data.executePlaybook;
}
