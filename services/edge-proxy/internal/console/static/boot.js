// The page is built on the client library, which a build without npm does not have.
import('./app.js').catch(async (cause) => {
  const library = await fetch('/sdk/v1/gateway-client.js', { method: 'HEAD' }).catch(() => null);
  const alert = document.getElementById('alert');
  document.getElementById('alert-box').hidden = false;
  alert.textContent = library?.status === 404
    ? 'The client library is not part of this build: it was made without npm. Run make build where npm is installed.'
    : `The page cannot start: ${cause.message}. Reload it to try again.`;
});
