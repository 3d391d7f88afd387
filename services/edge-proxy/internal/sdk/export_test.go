package sdk

var RegisterFiles = register
