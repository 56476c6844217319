package ir

import "reflect"

// CloneStmts makes a deep copy of statements.
func CloneStmts(list []Stmt) []Stmt {
	if list == nil {
		return nil
	}
	out := make([]Stmt, len(list))
	for i, s := range list {
		out[i] = clone(reflect.ValueOf(s)).Interface().(Stmt)
	}
	return out
}

// CloneExpr makes a deep copy of an expression.
func CloneExpr(x Expr) Expr {
	if x == nil {
		return nil
	}
	return clone(reflect.ValueOf(x)).Interface().(Expr)
}

// clone copies a tree: pointers, slices and interfaces anew, all else by value.
func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(clone(v.Elem()))
		return out
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(clone(v.Elem()))
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(clone(v.Index(i)))
		}
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			out.Field(i).Set(clone(v.Field(i)))
		}
		return out
	}
	return v
}
