// Package listenerspec reads documents of kind Subscription, which configure listeners, and says everything that is
// wrong with them, each with its line and column.
//
// A document that NoETL's catalog accepts means the same here. Members that NoETL reads nowhere and the gateway does
// not know are errors: NoETL passes over them, and a misspelled one must not be passed over in a file.
//
// It opens no file and knows no secret: a [Document] says where its secrets are.
package listenerspec
